/* Attention forward: softmax(Q K^T / sqrt(d)) V, Vaswani et al. 2017, equation 1, row by row and head by head. */
#include "attention.h"
#include <omp.h>

/* Scores to exponentials, in place, less the largest of each query; zero behind the row's end. */
INLINE void to_exponentials(float *scores, long queries, long length, long padded, float *largest, float *sums) {
    for (long query = 0; query < queries; query++) {
        float *line = scores + query * padded;
        for (long at = length; at < padded; at++) line[at] = -__builtin_inff();
        f32v most = load(line);
        for (long at = LANES; at < padded; at += LANES) most = maximum(most, load(line + at));
        largest[query] = largest_of(most);
        f32v sum = splat(0.0f);
        for (long at = 0; at < padded; at += LANES) {
            f32v value = exponential(load(line + at) - splat(largest[query]));
            store(line + at, value);
            sum += value;
        }
        sums[query] = sum_of(sum);
    }
}

template <typename Value>
INLINE void attend(
    const Heads &heads, const Rows &rows, const ScoreMask *mask, const Reading *reading, void *into, float *statistics,
    long row, long head, float *scratch
) {
    const long first = rows.ends[row], length = rows.ends[row + 1] - first, width = heads.width;
    const long asking = rows.only_first ? 1 : length, first_query = rows.only_first ? row : first;
    const long padded = rounded_up(length, LANES), hidden = heads.heads * width;
    float *query = scratch, *key = query + rounded_up(asking, QUERIES) * width, *value = key + padded * width;
    float *by_token = value + padded * width, *scores = by_token + padded * width, *context = scores + QUERIES * padded;
    gather((const Value *)heads.query + first_query * heads.query_stride + head * width, heads.query_stride, asking,
           rounded_up(asking, QUERIES), width, 1.0f / __builtin_sqrtf(width), query);
    gather((const Value *)heads.key + first * heads.stride + head * width, heads.stride, length, padded, width, 1.0f, by_token);
    transpose(by_token, padded, width, key);
    gather((const Value *)heads.value + first * heads.stride + head * width, heads.stride, length, padded, width, 1.0f, value);
    for (long at = 0; at < asking; at += QUERIES) {
        const long queries = asking - at < QUERIES ? asking - at : QUERIES;
        float largest[QUERIES], sums[QUERIES];
        multiply<QUERIES, false>(query + at * width, width, 1, key, padded, width, scores, padded, padded);
        to_exponentials(scores, queries, length, padded, largest, sums);
        if (mask)
            for (long q = 0; q < queries; q++)
                for (long key_at = 0; key_at < length; key_at += LANES) {
                    float *line = scores + q * padded + key_at;
                    store(line, kept(load(line), kept_of(mask, row, head, at + q) + key_at));
                }
        multiply<QUERIES, false>(scores, padded, 1, value, width, length, context, width, width);
        for (long q = 0; q < queries; q++) {
            const long token = first_query + at + q;
            const float inverse = 1.0f / sums[q], scale = mask ? mask->scale * inverse : inverse;
            for (long channel = 0; channel < width; channel += LANES)
                write(reading, into, head * width + channel, token * hidden + head * width + channel,
                      load(context + q * width + channel) * splat(scale));
            if (statistics) {
                statistics[(token * heads.heads + head) * 2] = largest[q];
                statistics[(token * heads.heads + head) * 2 + 1] = inverse;
            }
        }
    }
}

/* Floats of scratch that each thread needs. */
extern "C" long surefit_attention_scratch(long longest, long width) {
    const long padded = rounded_up(longest, LANES);
    return 4 * padded * width + QUERIES * (padded + width) + LANES;
}

/* The context of each query.
 *
 * mask: null where nothing is dropped; into: shape (queries, heads * width), in the form of `reading`; statistics:
 * null, or shape (queries, heads, 2), for the largest score and the inverse of the sum of exponentials. */
extern "C" void surefit_attention(
    const Heads *heads, const Rows *rows, const ScoreMask *mask, const Reading *reading, void *into, float *statistics,
    float *scratch, int threads
) {
    const long own = surefit_attention_scratch(rows->longest, heads->width), pairs = rows->count * heads->heads;
    const bool in_bf16 = attends_in_bf16(*heads);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 4)
    for (long pair = 0; pair < pairs; pair++) {
        float *mine = scratch + (threads > 1 ? omp_get_thread_num() : 0) * own;
        const long row = pair / heads->heads, head = pair % heads->heads;
        if (in_bf16)
            attend_in_bf16(*heads, *rows, mask, reading, into, statistics, row, head, mine);
        else if (heads->form == BFLOAT16)
            attend<bf16>(*heads, *rows, mask, reading, into, statistics, row, head, mine);
        else
            attend<float>(*heads, *rows, mask, reading, into, statistics, row, head, mine);
    }
}
