/* SPDX-License-Identifier: Apache-2.0
 *
 * Host memory that carries a label. Blocks are zeroed and aligned to 64 bytes; running out is a
 * sentence that names the label and the size. Books are kept in all and for each label, so that a
 * run can report its memory, a plan can be made of what would be allocated, and a test can hold the
 * two against each other.
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

/* Books count × size bytes without having them: the address, never NULL, may be passed around,
 * moved inside the block and released, but not followed. For plans. */
enum status memory_pretend(void *pointer, size_t count, size_t size, const char *label) MUST_USE;

/* Addresses for `most` bytes, none of them memory yet, and the first `bytes` of them made memory
 * (zeroed; never less than before). Only what is memory counts. Given back by memory_release. */
enum status memory_reserve(void *pointer, size_t most, const char *label) MUST_USE;
enum status memory_commit(void *block, size_t bytes) MUST_USE;

/* The books of memory_commit for a block of memory_pretend. */
enum status memory_pretend_more(void *block, size_t bytes) MUST_USE;

/* These bytes of a file, mapped read-only from `mapping` on, have been read: their pages leave the
 * resident size, and would come again from the file. */
void memory_forget_mapped(void *mapping, const void *from, size_t bytes);

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

/* The same of one label: bytes held now, most held since the last memory_watch, and held when the
 * sum over all labels was largest since then. */
struct memory_account {
    char label[48]; /* cut at 47 bytes */
    int64_t bytes, peak_bytes, at_peak_bytes;
};

/* Called once, before threads: from now on large blocks go back to the system as they are released,
 * whatever was released before. Otherwise the C library keeps ever larger ones for itself, and the
 * resident size is more than the books say. */
void memory_give_back(void);

/* From now on peaks of labels, and of the sum, are counted anew. */
void memory_watch(void);

/* Writes the accounts of up to `capacity` labels, in the order in which they first came, and
 * returns how many there are, at most MEMORY_LABELS. Labels beyond share the last account. */
enum { MEMORY_LABELS = 256 };
int memory_accounts(struct memory_account *accounts, int capacity);

/* Resident size of this process, in bytes, as the operating system counts it: largest so far, and
 * now. */
int64_t memory_peak_resident_bytes(void);
int64_t memory_resident_bytes(void);

#endif
