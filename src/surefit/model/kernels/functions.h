/* Exponential function, rounding to levels, and the activations with their slopes. */
#pragma once
#include "vectors.h"

/* Adding it rounds a moderate float to the nearest integer, ties to even, and leaves that in the low bits. */
constexpr float ROUNDER = 12582912.0f; /* 1.5 * 2^23 */
constexpr int32_t ROUNDER_BITS = 0x4b400000;

/* e^x as 2^n * e^r with n an integer and |r| <= ln(2) / 2, e^r by its Taylor series to the seventh power, whose
 * error is below 1e-8. Below -87.7 it is zero, above 88.3 infinite; not-a-numbers stay such. */
INLINE f32v exponential(f32v x) {
    x = minimum(splat(89.0f), maximum(splat(-88.0f), x));
    f32v shifted = x * splat(1.44269504088896341f) + splat(ROUNDER);
    f32v n = shifted - splat(ROUNDER);
    f32v power = (f32v)(((u32v)shifted - (ROUNDER_BITS - 127)) << 23);
    /* ln(2) in two parts, the first with so few bits that its product with n is exact. */
    f32v r = x - n * splat(0.693145751953125f) - n * splat(1.42860682030941723e-6f);
    f32v series = splat(1.0f / 5040);
    series = series * r + splat(1.0f / 720);
    series = series * r + splat(1.0f / 120);
    series = series * r + splat(1.0f / 24);
    series = series * r + splat(1.0f / 6);
    series = series * r + splat(0.5f);
    series = series * r + splat(1.0f);
    series = series * r + splat(1.0f);
    return series * power;
}

/* Levels of eight bits: the nearest one, that of the range's end for values beyond it. */
INLINE void store_levels(uint8_t *to, f32v values, f32v steps, float zero_point) {
    f32v level = minimum(maximum(values * steps, splat(-zero_point)), splat(255.0f - zero_point));
    i32v rounded = (i32v)(level + splat(ROUNDER)) - ROUNDER_BITS + (int32_t)zero_point;
    u8v bytes = __builtin_convertvector(rounded, u8v);
    memcpy(to, &bytes, sizeof bytes);
}

/* Each activation gives its value and, where that is asked for, its slope. */

enum ActivationKind { GELU = 0, GELU_TANH = 1, RELU = 2, SILU = 3 };

struct Gelu {
    /* x * Phi(x). The error function by Abramowitz and Stegun 1964, formula 7.1.26, whose error is below 1.5e-7. */
    INLINE f32v value(f32v x, f32v *slope) {
        f32v distance = (x < 0 ? -x : x) * splat(0.70710678118654752f);
        f32v t = 1.0f / (splat(1.0f) + splat(0.3275911f) * distance);
        f32v bell = exponential(-distance * distance);
        f32v series = splat(1.061405429f);
        series = series * t + splat(-1.453152027f);
        series = series * t + splat(1.421413741f);
        series = series * t + splat(-0.284496736f);
        series = series * t + splat(0.254829592f);
        f32v tail = splat(0.5f) * series * t * bell;
        f32v share = x < 0 ? tail : splat(1.0f) - tail;
        if (slope) *slope = share + x * bell * splat(0.39894228040143268f);
        return x * share;
    }
};

struct GeluTanh {
    /* x * sigmoid(2u) with u = sqrt(2 / pi) (x + 0.044715 x^3), which is x (1 + tanh(u)) / 2. */
    INLINE f32v value(f32v x, f32v *slope) {
        f32v square = x * x;
        f32v twice = splat(1.59576912160573071f) * x * (splat(1.0f) + splat(0.044715f) * square);
        f32v share = 1.0f / (splat(1.0f) + exponential(-twice));
        if (slope) {
            f32v rise = splat(1.59576912160573071f) * (splat(1.0f) + splat(3 * 0.044715f) * square);
            *slope = share + x * share * (splat(1.0f) - share) * rise;
        }
        return x * share;
    }
};

struct Relu {
    INLINE f32v value(f32v x, f32v *slope) {
        if (slope) *slope = x > 0 ? splat(1.0f) : splat(0.0f);
        return maximum(splat(0.0f), x);
    }
};

struct Silu {
    INLINE f32v value(f32v x, f32v *slope) {
        f32v share = 1.0f / (splat(1.0f) + exponential(-x));
        if (slope) *slope = share * (splat(1.0f) + x * (splat(1.0f) - share));
        return x * share;
    }
};

template <typename Call> INLINE void with_activation(int kind, Call call) {
    switch (kind) {
    case GELU: return call(Gelu{});
    case GELU_TANH: return call(GeluTanh{});
    case RELU: return call(Relu{});
    default: return call(Silu{});
    }
}
