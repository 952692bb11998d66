/* Products of bfloat16 pairs, for processors that have the instruction: to be included first, since it says so.
 *
 * Pairs stand in 32 bits: two neighbouring channels of a vector, or the same channel of two neighbouring tokens.
 * Sums are float32. */
#pragma once
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
