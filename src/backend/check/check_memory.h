/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory that the backend "check" has given out. Released blocks stay for a while, filled with
 * NaN, so that an address in them is recognised.
 */
#ifndef BACKEND_CHECK_CHECK_MEMORY_H
#define BACKEND_CHECK_CHECK_MEMORY_H

#include <stdbool.h>

#include "backend/backend.h"

struct check_block {
    char *memory;
    size_t bytes;
    bool live;
    char label[64];
};

struct check_memory {
    struct backend *inner;
    struct check_block *blocks; /* in the order in which they were given out */
    int64_t count, capacity;
    size_t quarantined;               /* bytes of released blocks still held */
    char defect[STATUS_SENTENCE_MAX]; /* of a wrong release, told by the next operation; "" none */
};

enum status check_memory_allocate(struct check_memory *memory, void **out, size_t bytes,
                                  const char *label) MUST_USE;
enum status check_memory_reserve(struct check_memory *memory, void **out, size_t most,
                                 const char *label) MUST_USE;
enum status check_memory_commit(struct check_memory *memory, void *pointer, size_t bytes) MUST_USE;
void check_memory_release(struct check_memory *memory, void *pointer);
void check_memory_close(struct check_memory *memory);

/* Refuses a range that is not inside one live block; the sentence names operation and argument. */
enum status check_memory_range(const struct check_memory *memory, const void *pointer, size_t bytes,
                               const char *op, const char *argument) MUST_USE;

#endif
