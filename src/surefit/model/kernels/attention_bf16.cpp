/* Attention forward with products of bfloat16 pairs, for heads whose width is a multiple of 32. */
#include "pairs.h"

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
            own[0] = largest[q]; /* not scaled yet, as the scores that it is taken from once more */
            own[1] = inverse;
        }
        multiply_pairs(weight_rows, value, width, (length + 1) / 2, context);
        for (long q = 0; q < queries; q++)
            for (long channel = 0; channel < width; channel += LANES)
                write(reading, into, head * width + channel, (first_query + at + q) * hidden + head * width + channel,
                      load(context + q * width + channel) * splat(scales[q]));
    }
}
