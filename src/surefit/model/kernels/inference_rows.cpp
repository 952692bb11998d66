/* What stands between the products of a layer in inference: sums, LayerNorm and the form that products read. */
#include "forms.h"
#include <omp.h>

static void read_row(const float *row, long hidden, const Reading *reading, void *into) {
    if (reading->form == FLOAT32) return; /* the row itself is read */
    for (long at = 0; at < hidden; at += LANES) write(reading, into, at, at, load(row + at));
}

static void normalize_row(float *row, f32v sums, long hidden, const Norm *norm) {
    float mean = sum_of(sums) / hidden;
    f32v squares = splat(0.0f);
    for (long at = 0; at < hidden; at += LANES) {
        f32v distance = load(row + at) - splat(mean);
        squares += distance * distance;
    }
    float scale = 1.0f / __builtin_sqrtf(sum_of(squares) / hidden + norm->eps);
    for (long at = 0; at < hidden; at += LANES)
        store(row + at, (load(row + at) - splat(mean)) * splat(scale) * load(norm->weight + at) + load(norm->bias + at));
}

constexpr long BLOCK = 8; /* tokens that a weight is loaded for */

/* Floats of scratch that each thread needs for channels apart. */
extern "C" long surefit_apart_scratch(long channels) { return BLOCK * rounded_up(channels, LANES); }

template <long tokens> INLINE void add_apart(float *rows, long hidden, const Apart *apart, float *active) {
    const long stride = rounded_up(apart->channels, LANES);
    memset(active, 0, tokens * stride * sizeof(float));
    for (long channel = 0; channel < apart->channels; channel++) {
        f32v sums[tokens] = {};
        for (long at = 0; at < hidden; at += LANES) {
            f32v weight = load(apart->widening + channel * hidden + at);
            for (long token = 0; token < tokens; token++) sums[token] += load(rows + token * hidden + at) * weight;
        }
        for (long token = 0; token < tokens; token++) active[token * stride + channel] = sum_of(sums[token]) + apart->bias[channel];
    }
    for (long token = 0; token < tokens; token++)
        for (long first = 0; first < apart->channels; first += LANES)
            with_activation(apart->activation, [&](auto activation) {
                store(active + token * stride + first, activation.value(load(active + token * stride + first), nullptr));
            });
    for (long at = 0; at < hidden; at += LANES) {
        f32v sums[tokens];
        for (long token = 0; token < tokens; token++) sums[token] = load(rows + token * hidden + at);
        for (long channel = 0; channel < apart->channels; channel++) {
            f32v weight = load(apart->narrowing + channel * hidden + at);
            for (long token = 0; token < tokens; token++) sums[token] += splat(active[token * stride + channel]) * weight;
        }
        for (long token = 0; token < tokens; token++) store(rows + token * hidden + at, sums[token]);
    }
}

template <typename Projected>
INLINE void add_and_normalize(
    const float *residual, const Projected *projected, long tokens, long hidden, const Norm *norm, float *into,
    const Reading *reading, char *read, const Apart *apart, float *scratch, int threads
) {
    const long own = apart ? surefit_apart_scratch(apart->channels) : 0;
    const long width = reading->form == BFLOAT16 ? 2 : 1;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (long first = 0; first < tokens; first += BLOCK) {
        const long end = first + BLOCK < tokens ? first + BLOCK : tokens;
        for (long token = first; token < end; token++) {
            float *row = into + token * hidden;
            f32v sums = splat(0.0f);
            for (long at = 0; at < hidden; at += LANES) {
                f32v values = load(residual + token * hidden + at);
                if (projected) values += load(projected + token * hidden + at);
                store(row + at, values);
                sums += values;
            }
            normalize_row(row, sums, hidden, norm);
            read_row(row, hidden, reading, read + token * hidden * width);
        }
        if (!apart) continue;
        float *mine = scratch + (threads > 1 ? omp_get_thread_num() : 0) * own;
        if (end - first == BLOCK)
            add_apart<BLOCK>(into + first * hidden, hidden, apart, mine);
        else
            for (long token = first; token < end; token++) add_apart<1>(into + token * hidden, hidden, apart, mine);
    }
}

/* LayerNorm(residual + projected), float32, and the same as the next product reads it.
 *
 * residual: float32; projected: of the form given, or null. All are of shape (tokens, hidden), `into` may be the
 * residual itself. What channels apart add to the layer's output is added to `into` after it has been read. */
extern "C" void surefit_add_and_normalize(
    const float *residual, const void *projected, int projected_form, long tokens, long hidden, const Norm *norm,
    float *into, const Reading *reading, void *read, const Apart *apart, float *scratch, int threads
) {
    if (projected_form == BFLOAT16)
        add_and_normalize(residual, (const bf16 *)projected, tokens, hidden, norm, into, reading, (char *)read, apart, scratch, threads);
    else
        add_and_normalize(residual, (const float *)projected, tokens, hidden, norm, into, reading, (char *)read, apart, scratch, threads);
}

/* LayerNorm of the sum of a word's, a position's and a type's embedding, each found by its number. */
extern "C" void surefit_embed(
    const int64_t *words, const int64_t *positions, const int64_t *types, const float *word_rows,
    const float *position_rows, const float *type_rows, long tokens, long hidden, const Norm *norm, float *into,
    const Reading *reading, void *read, int threads
) {
    const long width = reading->form == BFLOAT16 ? 2 : 1;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (long token = 0; token < tokens; token++) {
        const float *word = word_rows + words[token] * hidden, *position = position_rows + positions[token] * hidden;
        const float *type = type_rows + types[token] * hidden;
        float *row = into + token * hidden;
        f32v sums = splat(0.0f);
        for (long at = 0; at < hidden; at += LANES) {
            f32v values = load(word + at) + load(position + at) + load(type + at);
            store(row + at, values);
            sums += values;
        }
        normalize_row(row, sums, hidden, norm);
        read_row(row, hidden, reading, (char *)read + token * hidden * width);
    }
}

template <typename Value, typename Activation>
INLINE void activate(const Value *values, long count, Value *into, int threads, Activation activation) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (long at = 0; at < count; at += LANES) store(into + at, activation.value(load(values + at), nullptr));
}

/* The activation of `count` values, a multiple of sixteen; `into` may be the values themselves. */
extern "C" void surefit_activate(const void *values, int form, long count, int kind, void *into, int threads) {
    with_activation(kind, [&](auto activation) {
        if (form == BFLOAT16)
            activate((const bf16 *)values, count, (bf16 *)into, threads, activation);
        else
            activate((const float *)values, count, (float *)into, threads, activation);
    });
}
