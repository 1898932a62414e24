/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers as a function: the same arguments give the same number on any rank, in any order,
 * so no generator state exists and none is saved. Philox-4x32-10 (Salmon et al., "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011), keyed by (seed, stream) and counted by four indices.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

/* What a number is drawn for; one name for each purpose,
 * so that two purposes never share numbers. */
enum random_stream {
    RANDOM_SAMPLE,  /* (step, prompt, answer, position): the token drawn there */
    RANDOM_SHUFFLE, /* (source, epoch, row): the place of a row in an epoch's order */
    RANDOM_WEIGHTS, /* (tensor, index high, index low): initial parameters of `gradus init` */
    RANDOM_MIXTURE, /* (draw): the source of a prompt */
    RANDOM_TEST,    /* for tests only */
    RANDOM_ADAPTER, /* (factor, index high, index low): initial factors of an adapter */
    RANDOM_WINDOW,  /* (source, epoch, row, attempt): where a window of a text begins */
    RANDOM_CLUSTER, /* (restart, draw): where the centres of k-means begin */
    RANDOM_REASON, /* (): the seed by which a teacher, or a discriminator, writes what it writes first */
    RANDOM_HEAD, /* (tensor, index high, index low): initial values of a discriminator */
};

/* Ten rounds of Philox-4x32 on counter[4] under key[2];
 * the known-answer tests of Random123 pass. */
void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Uniform in [0, 1) with 53 random bits. */
double random_uniform(uint64_t seed, enum random_stream stream, uint32_t a, uint32_t b, uint32_t c,
                      uint32_t d);

/* 64 random bits. */
uint64_t random_bits(uint64_t seed, enum random_stream stream, uint32_t a, uint32_t b, uint32_t c,
                     uint32_t d);

/* Standard normal (Box and Muller on the two halves of one Philox block). */
double random_normal(uint64_t seed, enum random_stream stream, uint32_t a, uint32_t b, uint32_t c,
                     uint32_t d);

#endif
