/* SPDX-License-Identifier: Apache-2.0
 *
 * Host memory that carries a label. Blocks are zeroed and aligned to 64 bytes; running out is a
 * sentence that names the label and the size. Totals are kept, so that a run can report its memory.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdint.h>
#include "base/status.h"

/* Allocates count × size zeroed bytes (at least 1) and writes the address to *pointer (a `T **`
 * passed as void *). */
enum status memory_allocate(void *pointer, size_t count, size_t size, const char *label) MUST_USE;

/* Grows or shrinks a block of memory_allocate to count × size bytes; kept content, new bytes zero.
 * *pointer may be NULL. */
enum status memory_resize(void *pointer, size_t count, size_t size, const char *label) MUST_USE;

/* Frees *pointer (NULL is allowed) and sets it to NULL. */
void memory_release(void *pointer);

/* TRY(memory_new(&values, n, "advantages")): the element size is that of *pointer. */
#define memory_new(pointer, count, label)                                                          \
    memory_allocate((pointer), (size_t)(count), sizeof **(pointer), (label))
#define memory_grow(pointer, count, label)                                                         \
    memory_resize((pointer), (size_t)(count), sizeof **(pointer), (label))

/* Bytes held now, most held ever, and number of allocations so far. */
struct memory_totals {
    int64_t bytes, peak_bytes, allocations;
};
struct memory_totals memory_totals(void);

/* Largest resident size of this process so far, in bytes, as the operating system counts it. */
int64_t memory_peak_resident_bytes(void);

#endif
