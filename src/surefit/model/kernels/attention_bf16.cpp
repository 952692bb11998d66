/* Attention forward with the instruction for products of bfloat16 pairs, for heads whose width is a multiple of 32.
 *
 * Pairs stand in 32 bits: of queries and keys two neighbouring channels, of probabilities and values two neighbouring
 * tokens. Scores, sums and contexts are float32. */
#pragma GCC target("avx512bf16")
#include "attention.h"
#include <immintrin.h>

typedef const bf16 *Vectors;

INLINE u32v load_pairs(const bf16 *from) {
    u32v pairs;
    memcpy(&pairs, from, sizeof pairs);
    return pairs;
}

INLINE f32v add_products(f32v sums, u32v left, u32v right) {
    return (f32v)_mm512_dpbf16_ps((__m512)sums, (__m512bh)left, (__m512bh)right);
}

INLINE u32v splat_pair(const bf16 *from) {
    int32_t pair;
    memcpy(&pair, from, sizeof pair);
    return (u32v)_mm512_set1_epi32(pair);
}

/* Keys by pairs of channels: shape (width / 2, padded). */
INLINE void pairs_of_channels(Vectors from, long stride, long length, long padded, long width, u32v *into) {
    for (long token = 0; token < padded; token += LANES)
        for (long channel = 0; channel < width; channel += 2 * LANES) {
            f32v lines[LANES];
            for (long at = 0; at < LANES; at++)
                lines[at] = token + at < length ? (f32v)load_pairs(from + (token + at) * stride + channel) : splat(0.0f);
            exchange<8>(lines);
            exchange<4>(lines);
            exchange<2>(lines);
            exchange<1>(lines);
            for (long at = 0; at < LANES; at++) into[((channel / 2 + at) * padded + token) / LANES] = (u32v)lines[at];
        }
}

/* Values by pairs of tokens: shape (padded / 2, width). */
INLINE void pairs_of_tokens(Vectors from, long stride, long length, long padded, long width, u32v *into) {
    for (long token = 0; token < padded; token += 2)
        for (long channel = 0; channel < width; channel += LANES) {
            u32v first = {}, second = {};
            if (token < length) first = (u32v)load(from + token * stride + channel) >> 16;
            if (token + 1 < length) second = (u32v)load(from + (token + 1) * stride + channel);
            into[(token / 2 * width + channel) / LANES] = first | second;
        }
}

/* left x right for `QUERIES` rows: left by its rows' addresses, right by pairs; both share `pairs` pairs. */
template <long vectors>
INLINE void multiply_pairs(const bf16 *const *left, const u32v *right, long right_stride, long pairs, float *into, long into_stride) {
    f32v sums[QUERIES][vectors] = {};
    for (long at = 0; at < pairs; at++)
        for (long row = 0; row < QUERIES; row++) {
            u32v pair = splat_pair(left[row] + 2 * at);
            for (long v = 0; v < vectors; v++) sums[row][v] = add_products(sums[row][v], pair, right[at * right_stride + v]);
        }
    for (long row = 0; row < QUERIES; row++)
        for (long v = 0; v < vectors; v++) store(into + row * into_stride + v * LANES, sums[row][v]);
}

INLINE void multiply_pairs(const bf16 *const *left, const u32v *right, long columns, long pairs, float *into) {
    long column = 0;
    for (; column + 2 * LANES <= columns; column += 2 * LANES)
        multiply_pairs<2>(left, right + column / LANES, columns / LANES, pairs, into + column, columns);
    if (column < columns) multiply_pairs<1>(left, right + column / LANES, columns / LANES, pairs, into + column, columns);
}

bool attends_in_bf16(const Heads &heads) {
    return heads.form == BFLOAT16 && heads.width % (2 * LANES) == 0 && __builtin_cpu_supports("avx512bf16");
}

void attend_in_bf16(
    const Heads &heads, const Rows &rows, const ScoreMask *mask, const Reading *reading, void *into, float *statistics,
    long row, long head, float *scratch
) {
    const long first = rows.ends[row], length = rows.ends[row + 1] - first, width = heads.width;
    const long asking = rows.only_first ? 1 : length, first_query = rows.only_first ? row : first;
    const long padded = rounded_up(length, LANES), hidden = heads.heads * width;
    const float score_scale = 1.0f / __builtin_sqrtf(width);
    u32v *key = (u32v *)scratch, *value = key + padded * width / 2 / LANES;
    float *scores = (float *)(value + padded * width / 2 / LANES), *context = scores + QUERIES * padded;
    bf16 *weights = (bf16 *)(context + QUERIES * width);
    pairs_of_channels((Vectors)heads.key + first * heads.stride + head * width, heads.stride, length, padded, width, key);
    pairs_of_tokens((Vectors)heads.value + first * heads.stride + head * width, heads.stride, length, padded, width, value);
    const f32v places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const bf16 *weight_rows[QUERIES];
    for (long q = 0; q < QUERIES; q++) weight_rows[q] = weights + q * padded;
    for (long at = 0; at < asking; at += QUERIES) {
        const long queries = asking - at < QUERIES ? asking - at : QUERIES;
        const bf16 *query_rows[QUERIES];
        for (long q = 0; q < QUERIES; q++) /* behind the last query it is computed again */
            query_rows[q] = (Vectors)heads.query + (first_query + at + (q < queries ? q : 0)) * heads.query_stride + head * width;
        multiply_pairs(query_rows, key, padded, width / 2, scores);
        f32v most[QUERIES], sums[QUERIES] = {};
        float largest[QUERIES], scales[QUERIES];
        for (long q = 0; q < QUERIES; q++) {
            float *last = scores + q * padded + padded - LANES;
            store(last, places < splat(length - padded + LANES) ? load(last) : splat(NEVER));
            most[q] = load(scores + q * padded);
            for (long j = LANES; j < padded; j += LANES) most[q] = maximum(most[q], load(scores + q * padded + j));
        }
        reduce<false>(most, largest);
        for (long q = 0; q < QUERIES; q++) {
            const f32v highest = splat(largest[q]);
            const uint8_t *keep = mask && q < queries ? kept_of(mask, row, head, at + q) : nullptr;
            for (long j = 0; j < padded; j += LANES) {
                f32v weight = power_of_two((load(scores + q * padded + j) - highest) * splat(score_scale * LOG2_E));
                sums[q] += weight;
                store(weights + q * padded + j, keep ? kept(weight, keep + j) : weight);
            }
        }
        reduce<true>(sums, scales);
        for (long q = 0; q < queries; q++) {
            const float inverse = 1.0f / scales[q];
            scales[q] = mask ? mask->scale * inverse : inverse;
            if (!statistics) continue;
            float *own = statistics + ((first_query + at + q) * heads.heads + head) * 2;
            own[0] = largest[q] * score_scale;
            own[1] = inverse;
        }
        multiply_pairs(weight_rows, value, width, (length + 1) / 2, context);
        for (long q = 0; q < queries; q++)
            for (long channel = 0; channel < width; channel += LANES)
                write(reading, into, head * width + channel, (first_query + at + q) * hidden + head * width + channel,
                      load(context + q * width + channel) * splat(scales[q]));
    }
}
