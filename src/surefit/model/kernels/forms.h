/* What the callers hand over; `library.py` has the same structures. */
#pragma once
#include "functions.h"

/* To be raised with each change of the sources, in `library.py` too: a library that was built from others is then left
 * alone. A test holds the number to what is in them. */
constexpr int VERSION = 4;

enum Form { FLOAT32 = 0, BFLOAT16 = 1, LEVELS = 2 };

/* The form in which the next product reads activations; levels with the inverse of each channel's step. */
struct Reading {
    int32_t form;
    float zero_point;
    const float *steps;
};

/* LayerNorm, Ba et al. 2016, equation 4. */
struct Norm {
    const float *weight, *bias;
    float eps;
};

/* A few channels of the feed-forward part that are computed in float32, apart from the product: their weights before
 * and after the activation, both of shape (channels, hidden), and their biases. */
struct Apart {
    int64_t channels;
    int64_t activation;
    const float *widening, *bias, *narrowing;
};

/* Queries, keys and values of all tokens, each `stride` values after the one before, heads side by side. */
struct Heads {
    int64_t heads, width, query_stride, stride;
    const void *query, *key, *value;
    int64_t form;
};

/* The rows of a batch: row r has the tokens from ends[r] to ends[r + 1]. Where only first tokens ask, queries and
 * contexts are one a row. */
struct Rows {
    int64_t count, longest, only_first;
    const int32_t *ends;
};

/* Which attention probabilities stay: bytes with all bits set or none. Those of a row's head h, query i and key j
 * are at first[row] + (h * width[row] + i) * width[row] + j; sixteen bytes more than that can be read. */
struct ScoreMask {
    const uint8_t *keep;
    const int64_t *first, *width;
    float scale;
};

INLINE void write(const Reading *reading, void *into, long channel, long place, f32v values) {
    if (reading->form == FLOAT32)
        store((float *)into + place, values);
    else if (reading->form == BFLOAT16)
        store((bf16 *)into + place, values);
    else
        store_levels((uint8_t *)into + place, values, load(reading->steps + channel), reading->zero_point);
}
