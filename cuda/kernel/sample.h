/* SPDX-License-Identifier: Apache-2.0
 *
 * Draws from rows of logits, with the log-probability and the entropy that the output head gives a
 * token (backend.h: sample, head_block, head_finish). V is at most SAMPLE_VOCABULARY_MAX.
 *
 * The token is that of the CPU backend, but for uniform numbers that lie closer to a border between
 * two tokens than the sums of weights round: 1e-7 of the whole, where blocks of HEAD_BLOCK tokens are
 * summed in fp32 (a draw without filters), 1e-15 behind filters. So it is between two instruction sets
 * of the CPU. top_p counts a weight, relative to the largest, in units of 2^-44.
 */
#ifndef CUDA_KERNEL_SAMPLE_H
#define CUDA_KERNEL_SAMPLE_H

#include <stdint.h>

#include "cuda/kernel/head.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SAMPLE_VOCABULARY_MAX = 1 << 20 };

struct sample_launch {
    const float *logits; /* (B, V), row stride ld */
    /* (B), in [0, 1); or NULL: random_uniform(seed, RANDOM_SAMPLE, counters) on the device */
    const double *uniforms;
    const uint32_t *counters; /* (B, 4): step, prompt, answer, position; NULL with uniforms */
    const uint64_t *seed;     /* device, one; NULL with uniforms */
    /* Tokens of the answer so far: the first seen_counts[b] of row seen_rows[b] of `seen` (·, seen_ld);
     * not read without penalty. */
    const int32_t *seen, *seen_rows, *seen_counts;
    struct head_sums *sums; /* (B, head_sums_of(V)) scratch */
    int32_t *tokens;        /* (B) =; −1 where a logit is not finite */
    /* (B) =, of the logits without penalty and filters, at settings.temperature (at 1 where that is 0);
     * or NULL, both */
    float *logprob, *entropy;
    int64_t B, V, ld, seen_ld;
    struct sample_settings settings;
};
int launch_sample(void *stream, const struct sample_launch *args);

#ifdef __cplusplus
}
#endif

#endif
