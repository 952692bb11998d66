/* Sixteen floats at a time, by the compiler's vector types: one source for every processor. */
#pragma once
#include <cstdint>
#include <cstring>

#define INLINE static inline __attribute__((always_inline))

constexpr long LANES = 16;

typedef float f32v __attribute__((vector_size(64)));
typedef int32_t i32v __attribute__((vector_size(64)));
typedef uint32_t u32v __attribute__((vector_size(64)));
typedef uint16_t u16v __attribute__((vector_size(32)));
typedef uint8_t u8v __attribute__((vector_size(16)));
typedef int8_t i8v __attribute__((vector_size(16)));

struct bf16 {
    uint16_t bits;
};

INLINE long rounded_up(long count, long step) { return (count + step - 1) / step * step; }

INLINE f32v splat(float value) {
    return f32v{value, value, value, value, value, value, value, value, value, value, value, value, value, value, value, value};
}

INLINE f32v load(const float *from) {
    f32v values;
    memcpy(&values, from, sizeof values);
    return values;
}

INLINE f32v load(const bf16 *from) {
    u16v halves;
    memcpy(&halves, from, sizeof halves);
    return (f32v)(__builtin_convertvector(halves, u32v) << 16);
}

INLINE void store(float *to, f32v values) { memcpy(to, &values, sizeof values); }

/* To the nearest, ties to even, as torch rounds. Not-a-numbers must stay such: training looks for them. */
INLINE void store(bf16 *to, f32v values) {
    u32v bits = (u32v)values;
    u32v rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    rounded = values == values ? rounded : (u32v)(bits >> 16 | 0x40);
    u16v halves = __builtin_convertvector(rounded, u16v);
    memcpy(to, &halves, sizeof halves);
}

/* The second where one of them is not a number. */
INLINE f32v minimum(f32v a, f32v b) { return a < b ? a : b; }
INLINE f32v maximum(f32v a, f32v b) { return a > b ? a : b; }

template <int... places> INLINE f32v shuffled(f32v a, f32v b) {
#ifdef __clang__
    return __builtin_shufflevector(a, b, places...);
#else /* GCC has that only from version 12 on. */
    return __builtin_shuffle(a, b, i32v{places...});
#endif
}

INLINE f32v folded_half(f32v v) { return shuffled<8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7>(v, v); }
INLINE f32v folded_quarter(f32v v) { return shuffled<4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11>(v, v); }
INLINE f32v folded_pair(f32v v) { return shuffled<2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13>(v, v); }
INLINE f32v folded_single(f32v v) { return shuffled<1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14>(v, v); }

INLINE float sum_of(f32v v) {
    v += folded_half(v);
    v += folded_quarter(v);
    v += folded_pair(v);
    v += folded_single(v);
    return v[0];
}

INLINE float largest_of(f32v v) {
    v = maximum(v, folded_half(v));
    v = maximum(v, folded_quarter(v));
    v = maximum(v, folded_pair(v));
    v = maximum(v, folded_single(v));
    return v[0];
}

/* The values whose bytes have all bits set, zero for the others. */
INLINE f32v kept(f32v values, const uint8_t *keep) {
    i8v bytes;
    memcpy(&bytes, keep, sizeof bytes);
    return (f32v)((i32v)values & __builtin_convertvector(bytes, i32v));
}
