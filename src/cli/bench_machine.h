/* SPDX-License-Identifier: Apache-2.0
 *
 * What `gradus bench` needs of any backend: its ceilings, and memory full of random numbers.
 */
#ifndef CLI_BENCH_MACHINE_H
#define CLI_BENCH_MACHINE_H

#include "backend/backend.h"
#include "backend/cpu/cpu_ceiling.h"
#include "base/status.h"

/* Seconds of the fastest call among those that fit into `seconds` (three at least); a call has ended
 * when what it queued has. */
enum status bench_best_time(struct backend *backend, double seconds,
                            enum status (*call)(void *context), void *context,
                            double *best_s) MUST_USE;

/* Fills n elements of backend memory with numbers uniform in ±size/2, from a block that repeats. */
enum status bench_fill(struct backend *backend, void *values, enum dtype dtype, int64_t n,
                       float size) MUST_USE;

/* The CPU's by loops of its own (cpu_ceiling.h). Another backend's by its own operations: a copy of
 * 1 GiB, and the product of 8192 × 8192 × 8192 with bf16 weights; the figures of one core are 0. */
enum status bench_measure_ceilings(struct backend *backend, double seconds,
                                   struct machine_ceilings *out) MUST_USE;
void bench_print_ceilings(const struct backend *backend, const struct machine_ceilings *ceilings);

#endif
