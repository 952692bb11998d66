/* Attention backward. Probabilities are computed once more from what the forward pass noted of each query, its
 * largest score and the inverse of its sum, rather than kept (Dao et al. 2022, "FlashAttention", algorithm 4). */
#include "attention.h"
#include <omp.h>

extern "C" long surefit_attention_backward_scratch(long longest, long width) {
    const long padded = rounded_up(longest, LANES);
    const long exact = 8 * padded * width + QUERIES * (2 * padded + width) + LANES, rounded = backward_in_bf16_scratch(longest, width);
    return exact > rounded ? exact : rounded;
}

template <typename Value>
INLINE void attend_backward(
    const Heads &heads, const Rows &rows, const ScoreMask *mask, const float *statistics, const Value *of_context,
    const Heads &gradients, long row, long head, float *scratch
) {
    const long first = rows.ends[row], length = rows.ends[row + 1] - first, width = heads.width;
    const long asking = rows.only_first ? 1 : length, first_query = rows.only_first ? row : first;
    const long padded = rounded_up(length, LANES), blocks = rounded_up(asking, QUERIES), hidden = heads.heads * width;
    const float score_scale = 1.0f / __builtin_sqrtf(width);
    float *query = scratch, *of_own = query + blocks * width, *key = of_own + blocks * width;
    float *key_by_channel = key + padded * width, *value_by_channel = key_by_channel + padded * width;
    float *of_key = value_by_channel + padded * width, *of_value = of_key + padded * width;
    float *by_token = of_value + padded * width, *scores = by_token + padded * width;
    float *of_scores = scores + QUERIES * padded, *of_query = of_scores + QUERIES * padded;
    const long place = head * width;
    gather((const Value *)heads.query + first_query * heads.query_stride + place, heads.query_stride, asking, blocks, width,
           score_scale, query);
    gather(of_context + first_query * hidden + place, hidden, asking, blocks, width, 1.0f, of_own);
    gather((const Value *)heads.key + first * heads.stride + place, heads.stride, length, padded, width, 1.0f, key);
    transpose(key, padded, width, key_by_channel);
    gather((const Value *)heads.value + first * heads.stride + place, heads.stride, length, padded, width, 1.0f, by_token);
    transpose(by_token, padded, width, value_by_channel);
    memset(of_key, 0, 2 * padded * width * sizeof(float));
    for (long at = 0; at < asking; at += QUERIES) {
        const long queries = asking - at < QUERIES ? asking - at : QUERIES;
        multiply<QUERIES, false>(query + at * width, width, 1, key_by_channel, padded, width, scores, padded, padded);
        multiply<QUERIES, false>(of_own + at * width, width, 1, value_by_channel, padded, width, of_scores, padded, padded);
        for (long q = 0; q < queries; q++)
            to_gradients<true>(scores + q * padded, of_scores + q * padded, length, padded, 1.0f,
                         statistics + ((first_query + at + q) * heads.heads + head) * 2,
                         mask ? kept_of(mask, row, head, at + q) : nullptr, mask ? mask->scale : 1.0f);
        multiply<QUERIES, false>(of_scores, padded, 1, key, width, length, of_query, width, width);
        scatter(of_query, queries, width, score_scale,
                (Value *)gradients.query + (first_query + at) * gradients.query_stride + place, gradients.query_stride);
        for (long j = 0; j < padded; j += QUERIES) {
            multiply<QUERIES, true>(scores + j, 1, padded, of_own + at * width, width, queries, of_value + j * width, width, width);
            multiply<QUERIES, true>(of_scores + j, 1, padded, query + at * width, width, queries, of_key + j * width, width, width);
        }
    }
    scatter(of_key, length, width, 1.0f, (Value *)gradients.key + first * gradients.stride + place, gradients.stride);
    scatter(of_value, length, width, 1.0f, (Value *)gradients.value + first * gradients.stride + place, gradients.stride);
}

/* The gradients of queries, keys and values from that of the contexts.
 *
 * heads, rows, mask, statistics: as in the forward pass; of_context: of the form of `heads`, shape (queries,
 * heads * width); gradients: where to, of the same form. */
extern "C" void surefit_attention_backward(
    const Heads *heads, const Rows *rows, const ScoreMask *mask, const float *statistics, const void *of_context,
    const Heads *gradients, float *scratch, int threads
) {
    const long own = surefit_attention_backward_scratch(rows->longest, heads->width), pairs = rows->count * heads->heads;
    const bool in_bf16 = attends_in_bf16(*heads);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 4)
    for (long pair = 0; pair < pairs; pair++) {
        float *mine = scratch + (threads > 1 ? omp_get_thread_num() : 0) * own;
        const long row = pair / heads->heads, head = pair % heads->heads;
        if (in_bf16)
            attend_backward_in_bf16(*heads, *rows, mask, statistics, (const bf16 *)of_context, *gradients, row, head, mine);
        else if (heads->form == BFLOAT16)
            attend_backward<bf16>(*heads, *rows, mask, statistics, (const bf16 *)of_context, *gradients, row, head, mine);
        else
            attend_backward<float>(*heads, *rows, mask, statistics, (const float *)of_context, *gradients, row, head, mine);
    }
}
