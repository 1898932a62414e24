/* SPDX-License-Identifier: Apache-2.0
 *
 * Small kernels that use what kernel.h gives, one thing each, and some that are wrong.
 */
#ifndef TESTS_CUDA_RUNTIME_H
#define TESTS_CUDA_RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* out[i] = x[n − 1 − i] by shared memory, one block of n threads; wrong without the barrier. */
int launch_reverse(void *stream, const float *x, float *out, int n, int with_barrier);

/* One warp: x (32) into out (6, 32): shuffle from lane 5, xor 3, down 7, ballot of x > 0 (bits),
 * sum, maximum. */
int launch_collectives(void *stream, const float *x, float *out);

/* Each block of `threads`: the sum and the maximum of its x, written by every thread: out (2, n).
 * Grid of `blocks`. */
int launch_block(void *stream, const float *x, float *out, int blocks, int threads);

/* d (16, 8) = c + a (16, 16) b, bf16 bits, b as (8, 16) rows of Bᵀ or, transposed, as B (16, 8);
 * the matrices come into shared memory by asynchronous copies. wait 0: nobody waits for them. */
int launch_tile(void *stream, const uint16_t *a, const uint16_t *b, const float *c, float *d,
                int transposed, int wait);

/* out (4, n): to_float of bf16 of x; low and high of the pair (x, −x); x by 16-byte accesses. */
int launch_conversions(void *stream, const float *x, float *out, int n);

/* Wrong ones: 0: a thread that ends before a barrier; 1: a lane that leaves its warp; 2: two lanes in
 * different collectives; 3: a write behind shared memory; 4: an address that is no multiple of 16;
 * 5: a matrix behind the end of shared memory. */
int launch_wrong(void *stream, float *out, int kind);

/* x += 1, n threads. */
int launch_increment(void *stream, float *x, int n);

#ifdef __cplusplus
}
#endif

#endif
