/* The random bytes of dropout: numpy's generator PCG64DXSM, by several threads at once.
 *
 * Source: O'Neill 2014, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
 * Generation", section 4.3.1 for jumping ahead, with the output function DXSM as numpy's documentation names it. */
#include "vectors.h"

typedef unsigned __int128 uint128;

typedef uint8_t bytes64 __attribute__((vector_size(64)));

constexpr uint64_t MULTIPLIER = 0xda942042e4dd58b5;
constexpr long CHUNK = 2048; /* words of eight bytes */
constexpr long PARTS = 4;

/* The state after so many steps: steps are composed by squaring. */
static uint128 advanced(uint128 state, uint128 increment, uint64_t steps) {
    uint128 factor = 1, offset = 0, multiplier = MULTIPLIER;
    for (; steps; steps >>= 1) {
        if (steps & 1) {
            factor *= multiplier;
            offset = offset * multiplier + increment;
        }
        increment *= multiplier + 1;
        multiplier *= multiplier;
    }
    return state * factor + offset;
}

INLINE uint64_t output(uint128 state) {
    uint64_t high = state >> 64, low = (uint64_t)state | 1;
    high ^= high >> 32;
    high *= MULTIPLIER;
    high ^= high >> 48;
    return high * low;
}

/* All bits set for bytes of the stream that are at least `dropped`, none for the others.
 *
 * state_* and increment_*: halves of the generator's numbers; words: how many words of eight bytes to draw. */
extern "C" void surefit_keep(
    uint64_t state_high, uint64_t state_low, uint64_t increment_high, uint64_t increment_low, long words, int dropped,
    uint8_t *into, int threads
) {
    const uint128 first = (uint128)state_high << 64 | state_low, increment = (uint128)increment_high << 64 | increment_low;
    const long chunks = (words + CHUNK - 1) / CHUNK;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (long chunk = 0; chunk < chunks; chunk++) {
        const long start = chunk * CHUNK, count = words - start < CHUNK ? words - start : CHUNK;
        uint64_t drawn[CHUNK] __attribute__((aligned(64)));
        /* Each word waits for the one before, so that some parts of the chunk are drawn side by side. */
        const long part = (count + PARTS - 1) / PARTS;
        uint128 states[PARTS];
        for (long at = 0; at < PARTS; at++) states[at] = advanced(first, increment, start + at * part);
        for (long word = 0; word < part; word++)
            for (long at = 0; at < PARTS; at++) {
                drawn[at * part + word] = output(states[at]);
                states[at] = states[at] * MULTIPLIER + increment;
            }
        for (long word = 0; word < count; word += 8) {
            bytes64 bytes;
            memcpy(&bytes, drawn + word, sizeof bytes);
            bytes64 keep = (bytes64)(bytes >= (uint8_t)dropped);
            memcpy(into + 8 * (start + word), &keep, count - word < 8 ? 8 * (count - word) : 64);
        }
    }
}
