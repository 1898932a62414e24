/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ALIGNMENT 64

/* Stands in the 64 bytes before each block. */
struct header {
    size_t bytes;
};

static _Atomic int64_t held, peak, allocations;

static void count_bytes(int64_t bytes) {
    const int64_t now = atomic_fetch_add(&held, bytes) + bytes;
    int64_t most = atomic_load(&peak);
    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now)) {
    }
}

enum status memory_allocate(void *pointer, size_t count, size_t size, const char *label) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)1 << 46)
        return FAIL(STATUS_MEMORY, "%s: %zu × %zu bytes are more than any machine has", label,
                    count, size);
    const size_t rounded = (bytes + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + ALIGNMENT;
    char *block = aligned_alloc(ALIGNMENT, rounded);
    if (block == NULL)
        return FAIL(STATUS_MEMORY, "%s: the machine cannot give %.1f MiB of memory", label,
                    (double)bytes / 1048576.0);
    memset(block, 0, rounded);
    ((struct header *)(void *)block)->bytes = bytes;
    count_bytes((int64_t)bytes);
    atomic_fetch_add(&allocations, 1);
    block += ALIGNMENT;
    memcpy(pointer, &block, sizeof block);
    return STATUS_OK;
}

static size_t block_bytes(const void *block) {
    return ((const struct header *)(const void *)((const char *)block - ALIGNMENT))->bytes;
}

enum status memory_resize(void *pointer, size_t count, size_t size, const char *label) {
    void *old, *grown;
    memcpy(&old, pointer, sizeof old);
    TRY(memory_allocate(&grown, count, size, label));
    if (old != NULL) {
        const size_t before = block_bytes(old), after = block_bytes(grown);
        memcpy(grown, old, before < after ? before : after);
        memory_release(&old);
    }
    memcpy(pointer, &grown, sizeof grown);
    return STATUS_OK;
}

void memory_release(void *pointer) {
    void *block;
    memcpy(&block, pointer, sizeof block);
    if (block != NULL) {
        count_bytes(-(int64_t)block_bytes(block));
        free((char *)block - ALIGNMENT);
    }
    block = NULL;
    memcpy(pointer, &block, sizeof block);
}

struct memory_totals memory_totals(void) {
    return (struct memory_totals){.bytes = atomic_load(&held),
                                  .peak_bytes = atomic_load(&peak),
                                  .allocations = atomic_load(&allocations)};
}

int64_t memory_peak_resident_bytes(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}
