/* SPDX-License-Identifier: Apache-2.0
 *
 * The feature sets of tests/data/mauve/make_expected.py, which has the same functions, and its tables.
 */
#ifndef TESTS_UNIT_MAUVE_SETS_H
#define TESTS_UNIT_MAUVE_SETS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define DATA "tests/data/mauve/"

/* The same formula as in model/tiny.h: 24 bits of splitmix64(key + index). */
static inline float hashed(uint64_t key, int64_t index) {
    uint64_t z = key + (uint64_t)(index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (float)(z >> 40) * 0x1p-24f - 0.5f;
}

/* Text i of n is of kind i mod |kinds|; negative kinds are other ones. The caller frees it. */
static inline float *make_features(int64_t d, int64_t n, int kinds, float noise, uint64_t key) {
    float *rows = malloc((size_t)(n * d) * sizeof *rows);
    const int64_t first = kinds < 0 ? 100 : 0, count = abs(kinds);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++)
            rows[i * d + j] = 3.0f * hashed(1000 + (uint64_t)(first + i % count), j) +
                              noise * hashed(key + (uint64_t)i, j);
    return rows;
}

struct feature_set {
    const char *name;
    int64_t d, p_n, q_n;
    int p_kinds, q_kinds;
    float noise;
};
static const struct feature_set feature_sets[] = {
    {"same", 24, 160, 160, 8, 8, 1.0f},
    {"shifted", 24, 150, 210, 8, 5, 1.0f},
    {"wide", 200, 90, 70, 6, 4, 2.0f},
    {"apart", 16, 60, 60, 4, -4, 0.5f},
};
enum { FEATURE_SETS = sizeof feature_sets / sizeof *feature_sets };

static inline float *features_p(const struct feature_set *set) {
    return make_features(set->d, set->p_n, set->p_kinds, set->noise, 1u << 20);
}
static inline float *features_q(const struct feature_set *set) {
    return make_features(set->d, set->q_n, set->q_kinds, set->noise, 1u << 21);
}

#endif
