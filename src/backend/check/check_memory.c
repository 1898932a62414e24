/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/check/check_memory.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { QUARANTINE_BYTES = 64 << 20 };

static enum status reserve_block(struct check_memory *memory) {
    if (memory->count == memory->capacity) {
        const int64_t capacity = memory->capacity > 0 ? 2 * memory->capacity : 64;
        TRY(memory_grow(&memory->blocks, capacity, "blocks of the check backend"));
        memory->capacity = capacity;
    }
    return STATUS_OK;
}

static void add_block(struct check_memory *memory, void *address, size_t bytes, const char *label) {
    struct check_block *block = &memory->blocks[memory->count++];
    *block = (struct check_block){.memory = address, .bytes = bytes, .live = true};
    snprintf(block->label, sizeof block->label, "%s", label);
}

enum status check_memory_allocate(struct check_memory *memory, void **out, size_t bytes,
                                  const char *label) {
    TRY(reserve_block(memory));
    TRY(memory->inner->ops->allocate(memory->inner, out, bytes, label));
    add_block(memory, *out, bytes, label);
    return STATUS_OK;
}

/* What is not committed yet is no memory: the block grows with every commit. */
enum status check_memory_reserve(struct check_memory *memory, void **out, size_t most,
                                 const char *label) {
    TRY(reserve_block(memory));
    TRY(memory->inner->ops->reserve(memory->inner, out, most, label));
    add_block(memory, *out, 0, label);
    return STATUS_OK;
}

/* Gives the oldest released blocks back until the quarantine is small enough. */
static void shrink_quarantine(struct check_memory *memory, size_t wanted) {
    int64_t kept = 0;
    for (int64_t i = 0; i < memory->count; i++) {
        struct check_block *block = &memory->blocks[i];
        if (!block->live && memory->quarantined > wanted) {
            memory->inner->ops->release(memory->inner, block->memory);
            memory->quarantined -= block->bytes;
        } else {
            memory->blocks[kept++] = *block;
        }
    }
    memory->count = kept;
}

static bool contains(const struct check_block *block, const void *pointer) {
    const uintptr_t begin = (uintptr_t)block->memory, at = (uintptr_t)pointer;
    return at >= begin && at < begin + (block->bytes > 0 ? block->bytes : 1);
}

static struct check_block *find(const struct check_memory *memory, const void *pointer) {
    for (int64_t i = memory->count - 1; i >= 0; i--)
        if (contains(&memory->blocks[i], pointer))
            return &memory->blocks[i];
    return NULL;
}

void check_memory_release(struct check_memory *memory, void *pointer) {
    if (pointer == NULL)
        return;
    struct check_block *block = find(memory, pointer);
    if (block == NULL || block->memory != pointer || !block->live) {
        snprintf(memory->defect, sizeof memory->defect, "check: release was given %s%.64s",
                 block == NULL ? "an address that was never"
                                 " given out"
                 : block->live ? "an address inside "
                               : "memory released before: ",
                 block == NULL ? "" : block->label);
        return;
    }
    memset(block->memory, 0xff, block->bytes);
    block->live = false;
    memory->quarantined += block->bytes;
    shrink_quarantine(memory, QUARANTINE_BYTES);
}

enum status check_memory_commit(struct check_memory *memory, void *pointer, size_t bytes) {
    struct check_block *block = find(memory, pointer);
    if (block == NULL || block->memory != pointer || !block->live)
        return FAIL(STATUS_DEFECT, "check: commit was given an address that was not reserved");
    TRY(memory->inner->ops->commit(memory->inner, pointer, bytes));
    block->bytes = bytes > block->bytes ? bytes : block->bytes;
    return STATUS_OK;
}

void check_memory_close(struct check_memory *memory) {
    shrink_quarantine(memory, 0);
    memory_release(&memory->blocks);
}

enum status check_memory_range(const struct check_memory *memory, const void *pointer, size_t bytes,
                               const char *op, const char *argument) {
    if (pointer == NULL)
        return FAIL(STATUS_DEFECT, "check: %s: argument %s is NULL", op, argument);
    const struct check_block *block = find(memory, pointer);
    if (block == NULL)
        return FAIL(STATUS_DEFECT, "check: %s: argument %s is not memory of this backend", op,
                    argument);
    if (!block->live)
        return FAIL(STATUS_DEFECT, "check: %s: argument %s lies in released memory (%s)", op,
                    argument, block->label);
    const size_t rest = block->bytes - (size_t)((const char *)pointer - block->memory);
    if (bytes > rest)
        return FAIL(STATUS_DEFECT,
                    "check: %s: argument %s takes %zu bytes, but only %zu are left in its memory "
                    "(%s)",
                    op, argument, bytes, rest, block->label);
    return STATUS_OK;
}
