/* SPDX-License-Identifier: Apache-2.0
 *
 * What this machine could do at most, measured now: the denominators of `gradus bench`.
 */
#ifndef BACKEND_CPU_CPU_CEILING_H
#define BACKEND_CPU_CPU_CEILING_H

#include "base/status.h"

struct machine_ceilings {
    double fma_flops_1, fma_flops_all; /* fp32 operations per second, 2 for a multiply-add */
    double read_bytes_1, read_bytes_all;
    double copy_bytes_all; /* bytes read plus bytes written */
};

/* Measures with one thread and with `threads` (0: one for each core), repeating each loop for that
 * many seconds and keeping its best round. Takes 512 MiB of memory for the while. */
enum status cpu_measure_ceilings(int threads, double seconds_each,
                                 struct machine_ceilings *out) MUST_USE;

#endif
