/* Dropout, residual sum and LayerNorm, and the activation, in training: forward and backward.
 *
 * Sums over tokens are made chunk by chunk and then over the chunks in their order, so that they do not depend on the
 * number of threads. */
#include "forms.h"

constexpr long CHUNK = 32; /* tokens */

INLINE long chunks_of(long tokens) { return (tokens + CHUNK - 1) / CHUNK; }

/* Adds the columns' sums over chunks to `into`, or sets it, times `scale`. */
template <typename Value>
INLINE void sum_chunks(const float *partial, long chunks, long stride, long width, float scale, bool adds, Value *into) {
    for (long at = 0; at < width; at += LANES) {
        f32v sums = splat(0.0f);
        for (long chunk = 0; chunk < chunks; chunk++) sums += load(partial + chunk * stride + at);
        sums *= splat(scale);
        store(into + at, adds ? load(into + at) + sums : sums);
    }
}

INLINE void add_to(float *sums, f32v values) { store(sums, load(sums) + values); }

template <typename Value>
INLINE void forward(
    const float *residual, const Value *projected, const uint8_t *keep, long tokens, long padded, long hidden,
    const Norm *norm, float *summed, float *statistics, float *into, Value *read, int threads
) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (long token = 0; token < tokens; token++) {
        const long start = token * hidden;
        f32v sums = splat(0.0f), squares = splat(0.0f);
        for (long at = start; at < start + hidden; at += LANES) {
            f32v added = load(projected + at);
            f32v values = load(residual + at) + (keep ? kept(added, keep + at) : added);
            store(summed + at, values);
            sums += values;
        }
        const f32v mean = splat(sum_of(sums) / hidden);
        for (long at = start; at < start + hidden; at += LANES) {
            f32v distance = load(summed + at) - mean;
            squares += distance * distance;
        }
        const f32v scale = splat(1.0f / __builtin_sqrtf(sum_of(squares) / hidden + norm->eps));
        for (long at = 0; at < hidden; at += LANES) {
            f32v values = (load(summed + start + at) - mean) * scale * load(norm->weight + at) + load(norm->bias + at);
            store(into + start + at, values);
            if ((void *)read != (void *)into) store(read + start + at, values);
        }
        statistics[2 * token] = mean[0];
        statistics[2 * token + 1] = scale[0];
    }
    memset((void *)(read + tokens * hidden), 0, (padded - tokens) * hidden * sizeof(Value));
}

/* LayerNorm(residual + dropped(projected)).
 *
 * residual: float32; projected: of `form`; keep: bytes with all bits set for values that stay, or null; all of shape
 * (tokens, hidden). summed and statistics, shape (tokens, 2), are for the backward pass. into: float32; read: the same
 * in `form`, shape (padded, hidden), zero behind the tokens; it is `into` itself where that is float32. */
extern "C" void surefit_train_normalize(
    const float *residual, const void *projected, int form, const uint8_t *keep, long tokens, long padded, long hidden,
    const Norm *norm, float *summed, float *statistics, float *into, void *read, int threads
) {
    if (form == BFLOAT16)
        forward(residual, (const bf16 *)projected, keep, tokens, padded, hidden, norm, summed, statistics, into, (bf16 *)read, threads);
    else
        forward(residual, (const float *)projected, keep, tokens, padded, hidden, norm, summed, statistics, into, (float *)read, threads);
}

template <typename Value>
INLINE void backward(
    const float *flowing, const Value *added, const float *summed, const float *statistics, const uint8_t *keep,
    long tokens, long padded, long hidden, const Norm *norm, float *of_residual, Value *of_projected, float *partial, int threads
) {
    const long chunks = chunks_of(tokens);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (long chunk = 0; chunk < chunks; chunk++) {
        float *of_weight = partial + chunk * 3 * hidden, *of_bias = of_weight + hidden, *of_projection = of_bias + hidden;
        memset(of_weight, 0, 3 * hidden * sizeof(float));
        const long end = (chunk + 1) * CHUNK < tokens ? (chunk + 1) * CHUNK : tokens;
        for (long token = chunk * CHUNK; token < end; token++) {
            const long start = token * hidden;
            const f32v mean = splat(statistics[2 * token]), scale = splat(statistics[2 * token + 1]);
            f32v sums = splat(0.0f), products = splat(0.0f);
            for (long at = 0; at < hidden; at += LANES) {
                f32v gradient = load(flowing + start + at);
                if (added) gradient += load(added + start + at);
                f32v normal = (load(summed + start + at) - mean) * scale;
                add_to(of_bias + at, gradient);
                add_to(of_weight + at, gradient * normal);
                gradient *= load(norm->weight + at);
                store(of_residual + start + at, gradient);
                sums += gradient;
                products += gradient * normal;
            }
            const f32v mean_gradient = splat(sum_of(sums) / hidden), mean_product = splat(sum_of(products) / hidden);
            for (long at = 0; at < hidden; at += LANES) {
                f32v normal = (load(summed + start + at) - mean) * scale;
                f32v gradient = (load(of_residual + start + at) - mean_gradient - normal * mean_product) * scale;
                store(of_residual + start + at, gradient);
                if (keep) gradient = kept(gradient, keep + start + at);
                store(of_projected + start + at, gradient);
                add_to(of_projection + at, gradient);
            }
        }
    }
    memset((void *)(of_projected + tokens * hidden), 0, (padded - tokens) * hidden * sizeof(Value));
}

/* The gradients of the residual, float32, and of what was projected, of `form` and zero behind the tokens.
 *
 * flowing and added: the gradient of the result is their sum; float32, and of `form` or null. of_residual may be
 * `flowing` itself. of_weight and of_bias, float32, are those of the norm, to be added to; of_projection, of `form`, is
 * that of the projection's bias, to be set, times `projection_scale`. partial: scratch of chunks x 3 x hidden. */
extern "C" void surefit_train_normalize_backward(
    const float *flowing, const void *added, int form, const float *summed, const float *statistics, const uint8_t *keep,
    long tokens, long padded, long hidden, const Norm *norm, float *of_residual, void *of_projected, float *of_weight,
    float *of_bias, void *of_projection, float projection_scale, float *partial, int threads
) {
    const long chunks = chunks_of(tokens), stride = 3 * hidden;
    if (form == BFLOAT16) {
        backward(flowing, (const bf16 *)added, summed, statistics, keep, tokens, padded, hidden, norm, of_residual,
                 (bf16 *)of_projected, partial, threads);
        sum_chunks(partial + 2 * hidden, chunks, stride, hidden, projection_scale, false, (bf16 *)of_projection);
    } else {
        backward(flowing, (const float *)added, summed, statistics, keep, tokens, padded, hidden, norm, of_residual,
                 (float *)of_projected, partial, threads);
        sum_chunks(partial + 2 * hidden, chunks, stride, hidden, projection_scale, false, (float *)of_projection);
    }
    sum_chunks(partial, chunks, stride, hidden, 1.0f, true, of_weight);
    sum_chunks(partial + hidden, chunks, stride, hidden, 1.0f, true, of_bias);
}

template <typename Value, typename Activation>
INLINE void activate_backward(
    const Value *of_active, const Value *values, long tokens, long width, Value *into, float *partial, int threads, Activation activation
) {
    const long chunks = chunks_of(tokens);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (long chunk = 0; chunk < chunks; chunk++) {
        float *sums = partial + chunk * width;
        memset(sums, 0, width * sizeof(float));
        const long end = (chunk + 1) * CHUNK < tokens ? (chunk + 1) * CHUNK : tokens;
        for (long token = chunk * CHUNK; token < end; token++)
            for (long at = 0; at < width; at += LANES) {
                f32v slope;
                activation.value(load(values + token * width + at), &slope);
                f32v gradient = slope * load(of_active + token * width + at);
                store(into + token * width + at, gradient);
                add_to(sums + at, gradient);
            }
    }
}

/* The gradient of what was activated, and that of its bias, which is set.
 *
 * of_active, values, into: of `form`, shape (tokens, width); partial: scratch of chunks x width. */
extern "C" void surefit_activate_backward(
    const void *of_active, const void *values, int form, long tokens, long width, int kind, void *into, void *of_bias,
    float *partial, int threads
) {
    with_activation(kind, [&](auto activation) {
        if (form == BFLOAT16)
            activate_backward((const bf16 *)of_active, (const bf16 *)values, tokens, width, (bf16 *)into, partial, threads, activation);
        else
            activate_backward((const float *)of_active, (const float *)values, tokens, width, (float *)into, partial, threads, activation);
    });
    if (form == BFLOAT16)
        sum_chunks(partial, chunks_of(tokens), width, width, 1.0f, false, (bf16 *)of_bias);
    else
        sum_chunks(partial, chunks_of(tokens), width, width, 1.0f, false, (float *)of_bias);
}

extern "C" long surefit_chunks(long tokens) { return chunks_of(tokens); }
