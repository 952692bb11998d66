/* Attention of one head of one row: the pieces that forward and backward share.
 *
 * Everything is float32. A head's vectors are copied into a scratch, keys transposed, so that the loops run over
 * whole vectors: `QUERIES` rows of sixteen or thirty-two values are summed in registers. */
#pragma once
#include "forms.h"

constexpr long QUERIES = 8;
constexpr float NEVER = -1e30f; /* a score whose exponential is zero */
constexpr float LOG2_E = 1.44269504088896341f;

/* 2^x by the exponential's series, to the fifth power: its error is below 3e-6, a thousandth of what bfloat16 rounds.
 * Below -126 the result is that of -126, about 1e-38; x is at most 0, or no number, and then neither is the result. */
INLINE f32v power_of_two(f32v x) {
    x = maximum(splat(-126.0f), x); /* not-a-numbers stay such */
    const f32v shifted = x + splat(ROUNDER), r = x - (shifted - splat(ROUNDER));
    f32v series = splat(1.3333558146428443e-3f);
    series = series * r + splat(9.618129107628477e-3f);
    series = series * r + splat(5.550410866482158e-2f);
    series = series * r + splat(2.402265069591007e-1f);
    series = series * r + splat(6.931471805599453e-1f);
    series = series * r + splat(1.0f);
    const f32v result = (f32v)((i32v)series + (((i32v)shifted - ROUNDER_BITS) << 23));
    return x == x ? result : x;
}

/* The sum, or the largest value, of each of eight vectors, in the order of the vectors. */
template <bool adds> INLINE f32v folded(f32v a, f32v b) {
    if constexpr (adds) return a + b;
    return maximum(a, b);
}

template <bool adds> INLINE void reduce(const f32v *vectors, float *into) {
    f32v halves[4], quarters[2];
    for (long at = 0; at < 4; at++) {
        f32v a = vectors[at], b = vectors[at + 4];
        halves[at] = folded<adds>(shuffled<0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23>(a, b),
                                  shuffled<8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31>(a, b));
    }
    for (long at = 0; at < 2; at++) {
        f32v a = halves[at], b = halves[at + 2];
        quarters[at] = folded<adds>(shuffled<0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27>(a, b),
                                    shuffled<4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31>(a, b));
    }
    f32v a = quarters[0], b = quarters[1];
    f32v pairs = folded<adds>(shuffled<0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29>(a, b),
                              shuffled<2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31>(a, b));
    f32v all = folded<adds>(pairs, folded_single(pairs));
    /* vector 0, 1, 2, 3 are in the lower half, 4 to 7 in the upper. */
    for (long at = 0; at < 4; at++) {
        into[at] = all[4 * (at >> 1) + 2 * (at & 1)];
        into[at + 4] = all[8 + 4 * (at >> 1) + 2 * (at & 1)];
    }
}

/* rows x columns to columns x rows; both are multiples of sixteen. */
template <int step> INLINE void exchange(f32v *lines) {
    for (int first = 0; first < 16; first += 2 * step)
        for (int at = first; at < first + step; at++) {
            f32v low = lines[at], high = lines[at + step];
            if constexpr (step == 8) {
                lines[at] = shuffled<0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23>(low, high);
                lines[at + step] = shuffled<8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31>(low, high);
            } else if constexpr (step == 4) {
                lines[at] = shuffled<0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27>(low, high);
                lines[at + step] = shuffled<4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31>(low, high);
            } else if constexpr (step == 2) {
                lines[at] = shuffled<0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29>(low, high);
                lines[at + step] = shuffled<2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31>(low, high);
            } else {
                lines[at] = shuffled<0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30>(low, high);
                lines[at + step] = shuffled<1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31>(low, high);
            }
        }
}

INLINE void transpose(const float *from, long rows, long columns, float *into) {
    for (long row = 0; row < rows; row += LANES)
        for (long column = 0; column < columns; column += LANES) {
            f32v lines[16];
            for (int at = 0; at < 16; at++) lines[at] = load(from + (row + at) * columns + column);
            exchange<8>(lines);
            exchange<4>(lines);
            exchange<2>(lines);
            exchange<1>(lines);
            for (int at = 0; at < 16; at++) store(into + (column + at) * rows + row, lines[at]);
        }
}

/* `length` vectors of a head, `stride` apart, times `scale`; zeros up to `padded` vectors. */
template <typename Value>
INLINE void gather(const Value *from, long stride, long length, long padded, long width, float scale, float *into) {
    for (long token = 0; token < length; token++)
        for (long at = 0; at < width; at += LANES)
            store(into + token * width + at, load(from + token * stride + at) * splat(scale));
    memset(into + length * width, 0, (padded - length) * width * sizeof(float));
}

/* Adds left x right to `into`, or sets it: left (rows, shared), right (shared, columns), a few rows, one or two
 * vectors of columns; the strides are those of left's rows, of right's and of into's. */
template <long rows, long vectors, bool adds>
INLINE void multiply_tile(
    const float *left, long left_row, long left_shared, const float *right, long right_stride, long shared, float *into,
    long into_stride
) {
    f32v sums[rows][vectors];
    for (long row = 0; row < rows; row++)
        for (long v = 0; v < vectors; v++) sums[row][v] = adds ? load(into + row * into_stride + v * LANES) : splat(0.0f);
    for (long at = 0; at < shared; at++) {
        f32v line[vectors];
        for (long v = 0; v < vectors; v++) line[v] = load(right + at * right_stride + v * LANES);
        for (long row = 0; row < rows; row++) {
            f32v value = splat(left[row * left_row + at * left_shared]);
            for (long v = 0; v < vectors; v++) sums[row][v] += value * line[v];
        }
    }
    for (long row = 0; row < rows; row++)
        for (long v = 0; v < vectors; v++) store(into + row * into_stride + v * LANES, sums[row][v]);
}

/* The same for any number of columns that is a multiple of sixteen. */
template <long rows, bool adds>
INLINE void multiply(
    const float *left, long left_row, long left_shared, const float *right, long right_stride, long shared, float *into,
    long into_stride, long columns
) {
    long column = 0;
    for (; column + 2 * LANES <= columns; column += 2 * LANES)
        multiply_tile<rows, 2, adds>(left, left_row, left_shared, right + column, right_stride, shared, into + column, into_stride);
    if (column < columns)
        multiply_tile<rows, 1, adds>(left, left_row, left_shared, right + column, right_stride, shared, into + column, into_stride);
}

INLINE const uint8_t *kept_of(const ScoreMask *mask, long row, long head, long query) {
    return mask->keep + mask->first[row] + (head * mask->width[row] + query) * mask->width[row];
}

/* What the scores of one query contribute: its probabilities as the values were weighed with (dropped and scaled),
 * and the gradient of its scores, both in place of scores, which are to be scaled as their largest is, and gradient
 * of probabilities. Unless `exact`, probabilities have the error of `power_of_two`. */
template <bool exact>
INLINE void to_gradients(
    float *scores, float *gradients, long length, long padded, float score_scale, const float *statistics, const uint8_t *keep,
    float scale
) {
    f32v weighted = splat(0.0f);
    for (long at = length; at < padded; at++) scores[at] = -__builtin_inff();
    for (long at = 0; at < padded; at += LANES) {
        const f32v below = (load(scores + at) - splat(statistics[0])) * splat(score_scale);
        f32v probability = splat(statistics[1]) * (exact ? exponential(below) : power_of_two(below * splat(LOG2_E)));
        if (!exact) probability = below < splat(-80.0f) ? splat(0.0f) : probability; /* numbers below normal ones are slow */
        f32v gradient = load(gradients + at) * splat(scale), weight = probability * splat(scale);
        if (keep) {
            gradient = kept(gradient, keep + at);
            weight = kept(weight, keep + at);
        }
        weighted += probability * gradient;
        store(gradients + at, probability);
        store(scores + at, gradient);
    }
    const f32v mean = splat(sum_of(weighted));
    for (long at = 0; at < padded; at += LANES) {
        f32v probability = load(gradients + at), gradient = load(scores + at), weight = probability * splat(scale);
        store(gradients + at, probability * (gradient - mean));
        store(scores + at, keep ? kept(weight, keep + at) : weight);
    }
}

template <typename Value>
INLINE void scatter(const float *from, long length, long width, float scale, Value *into, long stride) {
    for (long token = 0; token < length; token++)
        for (long at = 0; at < width; at += LANES)
            store(into + token * stride + at, load(from + token * width + at) * splat(scale));
}

/* In `attention_bf16.cpp` and `attention_backward_bf16.cpp`: the same of one row's head by products of pairs. */
bool attends_in_bf16(const Heads &heads);
void attend_in_bf16(
    const Heads &heads, const Rows &rows, const ScoreMask *mask, const Reading *reading, void *into, float *statistics,
    long row, long head, float *scratch
);
long backward_in_bf16_scratch(long longest, long width);
void attend_backward_in_bf16(
    const Heads &heads, const Rows &rows, const ScoreMask *mask, const float *statistics, const bf16 *of_context,
    const Heads &gradients, long row, long head, float *scratch
);
