/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <math.h>

void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Spreads (seed, stream) over the 64 key bits (the finaliser of splitmix64), so that neighbouring
 * seeds and streams differ. */
static void make_key(uint64_t seed, enum random_stream stream, uint32_t key[2]) {
    uint64_t z = seed + 0x9E3779B97F4A7C15u * ((uint64_t)stream + 1);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    key[0] = (uint32_t)z;
    key[1] = (uint32_t)(z >> 32);
}

static void draw(uint64_t seed, enum random_stream stream, uint32_t a, uint32_t b, uint32_t c,
                 uint32_t d, uint32_t out[4]) {
    uint32_t key[2];
    make_key(seed, stream, key);
    random_philox((const uint32_t[4]){a, b, c, d}, key, out);
}

static double unit(uint32_t high, uint32_t low) {
    return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

double random_uniform(uint64_t seed, enum random_stream stream, uint32_t a, uint32_t b, uint32_t c,
                      uint32_t d) {
    uint32_t out[4];
    draw(seed, stream, a, b, c, d, out);
    return unit(out[0], out[1]);
}

uint64_t random_bits(uint64_t seed, enum random_stream stream, uint32_t a, uint32_t b, uint32_t c,
                     uint32_t d) {
    uint32_t out[4];
    draw(seed, stream, a, b, c, d, out);
    return (uint64_t)out[0] << 32 | out[1];
}

double random_normal(uint64_t seed, enum random_stream stream, uint32_t a, uint32_t b, uint32_t c,
                     uint32_t d) {
    uint32_t out[4];
    draw(seed, stream, a, b, c, d, out);
    const double radius = sqrt(-2.0 * log(1.0 - unit(out[0], out[1])));
    return radius * cos(6.283185307179586 * unit(out[2], out[3]));
}
