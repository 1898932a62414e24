/* SPDX-License-Identifier: Apache-2.0
 *
 * The streams of the host's stand-in for a device: work is put into a stream and done when somebody
 * waits for it, in order, so that a missing wait shows. A stream that is captured keeps it as a
 * graph instead.
 */
#ifndef CUDA_HOST_QUEUE_H
#define CUDA_HOST_QUEUE_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct queue_task {
    void (*run)(void *closure);
    void (*release)(void *closure); /* NULL: nothing to give back */
    void *closure;
};

/* Owns the closure from here on; 0, or CUDA's error code when there is no memory. */
int queue_push(void *stream, struct queue_task task);

/* Whether the address lies in memory that device_allocate gave, or is NULL. */
bool queue_is_device_memory(const void *address);

#ifdef __cplusplus
}
#endif

#endif
