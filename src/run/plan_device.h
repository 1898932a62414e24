/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices that a plan can be made for, and what a step would take on them by arithmetic alone.
 */
#ifndef RUN_PLAN_DEVICE_H
#define RUN_PLAN_DEVICE_H

#include <stdint.h>

#include "base/status.h"
#include "run/plan.h"

/* One per rank. Peaks are the vendor's, of dense products; 0: not known. */
struct plan_device {
    const char *name, *text;
    int64_t memory_bytes;
    int64_t reserved_bytes;        /* driver, libraries, buffers of the communicator, fragments */
    double bf16_flops, fp32_flops; /* FLOP/s */
    double bandwidth;              /* bytes/s */
};

/* STATUS_USAGE with all names where there is none of that name. "cpu" is this machine, its memory
 * shared by so many ranks. */
enum status plan_device_find(const char *name, int ranks, struct plan_device *device) MUST_USE;

/* What a rank holds on its device: the most of drawing and training, without the program. Files are
 * read and written through the memory of the host. */
int64_t plan_device_bytes(const struct plan_memory *memory);

/* Shares of the peaks that the estimate assumes. */
#define PLAN_FLOPS_SHARE     0.4
#define PLAN_BANDWIDTH_SHARE 0.6

/* An estimate for a step of full length on the plan's ranks, none for what is computed by the host
 * or sent between ranks. Drawing a token reads the weights and the keys and values of all answers
 * in flight, or is bound by its arithmetic; the rest is bound by arithmetic. */
struct plan_time {
    double drawing_s, other_s;
};
enum status plan_time_of(const struct plan *plan, const struct plan_device *device,
                         struct plan_time *time) MUST_USE;

#endif
