/* Attention backward with products of bfloat16 pairs, for heads whose width is a multiple of 32. */
#include "pairs.h"

INLINE u32v rounded(f32v values) { return __builtin_convertvector((u16v)_mm512_cvtneps_pbh((__m512)values), u32v); }

/* left^T x right, both by pairs of queries: left (pairs, width), right (pairs, padded), into (width, padded). */
INLINE void multiply_transposed(const uint32_t *left, long width, const u32v *right, long padded, long pairs, float *into) {
    const long right_stride = padded / LANES;
    for (long channel = 0; channel < width; channel += QUERIES)
        for (long v = 0; v < right_stride; v += 2) {
            const bool both = v + 1 < right_stride;
            f32v sums[QUERIES][2] = {};
            for (long at = 0; at < pairs; at++) {
                const u32v first = right[at * right_stride + v], second = both ? right[at * right_stride + v + 1] : u32v{};
                for (long row = 0; row < QUERIES; row++) {
                    const u32v pair = (u32v)_mm512_set1_epi32((int32_t)left[at * width + channel + row]);
                    sums[row][0] = add_products(sums[row][0], pair, first);
                    sums[row][1] = add_products(sums[row][1], pair, second);
                }
            }
            for (long row = 0; row < QUERIES; row++) {
                store(into + (channel + row) * padded + v * LANES, sums[row][0]);
                if (both) store(into + (channel + row) * padded + (v + 1) * LANES, sums[row][1]);
            }
        }
}

/* What `multiply_transposed` gave, times `scale`, to the tokens of a head. */
INLINE void scatter_transposed(
    const float *from, long length, long padded, long width, float scale, float *by_token, bf16 *into, long stride
) {
    transpose(from, width, padded, by_token);
    scatter(by_token, length, width, scale, into, stride);
}

long backward_in_bf16_scratch(long longest, long width) {
    const long padded = rounded_up(longest, LANES);
    const long vectors = 3 * padded * width / 2 + padded * width + 3 * padded * width, squares = padded * padded;
    return vectors + squares + QUERIES * (2 * padded + padded / 2 + width) + LANES;
}

void attend_backward_in_bf16(
    const Heads &heads, const Rows &rows, const ScoreMask *mask, const float *statistics, const bf16 *of_context,
    const Heads &gradients, long row, long head, float *scratch
) {
    const long first = rows.ends[row], length = rows.ends[row + 1] - first, width = heads.width;
    const long asking = rows.only_first ? 1 : length, first_query = rows.only_first ? row : first;
    const long padded = rounded_up(length, LANES), asked = rounded_up(asking, QUERIES);
    const long hidden = heads.heads * width, place = head * width, half = padded * width / 2 / LANES;
    const float score_scale = 1.0f / __builtin_sqrtf(width);
    u32v *key = (u32v *)scratch, *value = key + half, *key_tokens = value + half;
    u32v *query_tokens = key_tokens + half, *own_tokens = query_tokens + half;
    u32v *weight_pairs = own_tokens + half, *score_pairs = weight_pairs + padded * padded / 2 / LANES;
    float *scores = (float *)(score_pairs + padded * padded / 2 / LANES), *of_scores = scores + QUERIES * padded;
    float *of_query = of_scores + QUERIES * padded, *sums = of_query + QUERIES * width;
    float *other_sums = sums + padded * width, *by_token = other_sums + padded * width;
    bf16 *score_rows = (bf16 *)(by_token + padded * width);

    Vectors query = (Vectors)heads.query + first_query * heads.query_stride + place, own = of_context + first_query * hidden + place;
    Vectors keys = (Vectors)heads.key + first * heads.stride + place, values = (Vectors)heads.value + first * heads.stride + place;
    pairs_of_channels(keys, heads.stride, length, padded, width, key);
    pairs_of_channels(values, heads.stride, length, padded, width, value);
    pairs_of_tokens(keys, heads.stride, length, padded, width, key_tokens);
    pairs_of_tokens(query, heads.query_stride, asking, asked, width, query_tokens);
    pairs_of_tokens(own, hidden, asking, asked, width, own_tokens);
    const bf16 *rows_of_scores[QUERIES];
    for (long q = 0; q < QUERIES; q++) rows_of_scores[q] = score_rows + q * padded;
    for (long at = 0; at < asking; at += QUERIES) {
        const long queries = asking - at < QUERIES ? asking - at : QUERIES;
        const bf16 *query_rows[QUERIES], *own_rows[QUERIES];
        for (long q = 0; q < QUERIES; q++) { /* behind the last query it is computed again, and not used */
            query_rows[q] = query + (at + (q < queries ? q : 0)) * heads.query_stride;
            own_rows[q] = own + (at + (q < queries ? q : 0)) * hidden;
        }
        multiply_pairs(query_rows, key, padded, width / 2, scores);
        multiply_pairs(own_rows, value, padded, width / 2, of_scores);
        for (long q = 0; q < queries; q++)
            to_gradients<false>(scores + q * padded, of_scores + q * padded, length, padded, score_scale,
                                statistics + ((first_query + at + q) * heads.heads + head) * 2,
                                mask ? kept_of(mask, row, head, at + q) : nullptr, mask ? mask->scale : 1.0f);
        memset(scores + queries * padded, 0, (QUERIES - queries) * padded * sizeof(float));
        memset(of_scores + queries * padded, 0, (QUERIES - queries) * padded * sizeof(float));
        for (long q = 0; q < QUERIES; q += 2)
            for (long j = 0; j < padded; j += LANES) {
                const long pair = ((at + q) / 2 * padded + j) / LANES;
                const f32v upper = load(of_scores + q * padded + j), lower = load(of_scores + (q + 1) * padded + j);
                weight_pairs[pair] = rounded(load(scores + q * padded + j)) | rounded(load(scores + (q + 1) * padded + j)) << 16;
                score_pairs[pair] = rounded(upper) | rounded(lower) << 16;
                store(score_rows + q * padded + j, upper);
                store(score_rows + (q + 1) * padded + j, lower);
            }
        multiply_pairs(rows_of_scores, key_tokens, width, (length + 1) / 2, of_query);
        scatter(of_query, queries, width, score_scale, (bf16 *)gradients.query + (first_query + at) * gradients.query_stride + place,
                gradients.query_stride);
    }
    multiply_transposed((const uint32_t *)own_tokens, width, weight_pairs, padded, asked / 2, sums);
    multiply_transposed((const uint32_t *)query_tokens, width, score_pairs, padded, asked / 2, other_sums);
    const long of_first = first * gradients.stride + place;
    scatter_transposed(sums, length, padded, width, 1.0f, by_token, (bf16 *)gradients.value + of_first, gradients.stride);
    scatter_transposed(other_sums, length, padded, width, score_scale, by_token, (bf16 *)gradients.key + of_first, gradients.stride);
}
