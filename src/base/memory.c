/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* madvise */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <malloc.h>
#endif

#define ALIGNMENT 64

/* Stands in the 64 bytes before each block. */
struct header {
    size_t bytes;
    int account;
    void *start;     /* what the C library gave, or where the addresses begin */
    size_t reserved; /* bytes of addresses from there on; 0: from the C library */
};

/* --- books --- */

struct account {
    char label[48];
    _Atomic int64_t held, peak, at_peak;
};

static _Atomic int64_t held, peak, watched_peak, allocations;
static struct account accounts[MEMORY_LABELS];
static _Atomic int account_count;
static atomic_flag accounts_are_written = ATOMIC_FLAG_INIT;

/* Whether it was raised. */
static bool raise_to(_Atomic int64_t *most, int64_t value) {
    int64_t seen = atomic_load(most);
    while (value > seen)
        if (atomic_compare_exchange_weak(most, &seen, value))
            return true;
    return false;
}

static int account_find(const char *label) {
    const int count = atomic_load(&account_count);
    for (int i = 0; i < count; i++)
        if (strncmp(accounts[i].label, label, sizeof accounts[i].label - 1) == 0)
            return i;
    return -1;
}

/* The account of a label, which is opened where there is none and room for one. */
static int account_of(const char *label) {
    int found = account_find(label);
    if (found >= 0)
        return found;
    while (atomic_flag_test_and_set(&accounts_are_written)) {
    }
    found = account_find(label); /* another thread may have been faster */
    if (found < 0) {
        found = atomic_load(&account_count);
        if (found == MEMORY_LABELS)
            found = MEMORY_LABELS - 1;
        else {
            snprintf(accounts[found].label, sizeof accounts[found].label, "%s",
                     found == MEMORY_LABELS - 1 ? "others" : label);
            atomic_store(&account_count, found + 1);
        }
    }
    atomic_flag_clear(&accounts_are_written);
    return found;
}

static void note_peak(void) {
    const int count = atomic_load(&account_count);
    for (int i = 0; i < count; i++)
        atomic_store(&accounts[i].at_peak, atomic_load(&accounts[i].held));
}

static void book(int account, int64_t bytes) {
    const int64_t now = atomic_fetch_add(&held, bytes) + bytes;
    raise_to(&peak, now);
    raise_to(&accounts[account].peak, atomic_fetch_add(&accounts[account].held, bytes) + bytes);
    if (raise_to(&watched_peak, now))
        note_peak();
}

/* --- blocks --- */

/* A block that counts for `bytes` and has room for `room`. calloc takes a large one fresh from the
 * system, whose pages are zero and come to be, near a thread, when that thread first writes to
 * them; memset would place them all near this one. */
static enum status new_block(void *pointer, size_t bytes, size_t room, const char *label) {
    char *start = calloc(1, room + 2 * ALIGNMENT);
    if (start == NULL)
        return FAIL(STATUS_MEMORY, "%s: the machine cannot give %.1f MiB of memory", label,
                    (double)bytes / 1048576.0);
    char *block = start + (ALIGNMENT - (uintptr_t)start % ALIGNMENT) % ALIGNMENT;
    struct header *header = (void *)block;
    *header = (struct header){.bytes = bytes, .account = account_of(label), .start = start};
    book(header->account, (int64_t)bytes);
    atomic_fetch_add(&allocations, 1);
    block += ALIGNMENT;
    memcpy(pointer, &block, sizeof block);
    return STATUS_OK;
}

static enum status count_of(size_t count, size_t size, const char *label, size_t *bytes) {
    if (__builtin_mul_overflow(count, size, bytes) || *bytes > (size_t)1 << 46)
        return FAIL(STATUS_MEMORY, "%s: %zu × %zu bytes are more than any machine has", label,
                    count, size);
    return STATUS_OK;
}

enum status memory_allocate(void *pointer, size_t count, size_t size, const char *label) {
    size_t bytes;
    TRY(count_of(count, size, label, &bytes));
    return new_block(pointer, bytes, bytes, label);
}

enum status memory_pretend(void *pointer, size_t count, size_t size, const char *label) {
    size_t bytes;
    TRY(count_of(count, size, label, &bytes));
    return new_block(pointer, bytes, 0, label);
}

/* --- blocks that grow in place --- */

/* Bytes before a block: a whole page, so that it holds the header and the block can be aligned. */
static size_t margin(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static enum status protect(struct header *header, size_t bytes) {
    const size_t wanted = margin() + bytes, page = margin();
    const size_t whole = (wanted + page - 1) / page * page;
    if (mprotect(header->start, whole < header->reserved ? whole : header->reserved,
                 PROT_READ | PROT_WRITE) != 0)
        return FAIL(STATUS_MEMORY, "%s: the machine cannot give %.1f MiB of memory",
                    accounts[header->account].label, (double)bytes / 1048576.0);
    return STATUS_OK;
}

enum status memory_reserve(void *pointer, size_t most, const char *label) {
    size_t bytes;
    TRY(count_of(most, 1, label, &bytes));
    const size_t reserved = (margin() + bytes + margin() - 1) / margin() * margin();
    char *start =
        mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return FAIL(STATUS_MEMORY, "%s: the machine cannot give addresses for %.1f MiB", label,
                    (double)bytes / 1048576.0);
    struct header first = {.account = account_of(label), .start = start, .reserved = reserved};
    const enum status status = protect(&first, 0);
    if (status != STATUS_OK) {
        munmap(start, reserved);
        return status;
    }
    char *block = start + margin();
    memcpy(block - ALIGNMENT, &first, sizeof first);
    atomic_fetch_add(&allocations, 1);
    memcpy(pointer, &block, sizeof block);
    return STATUS_OK;
}

static enum status count_more(struct header *header, size_t bytes) {
    book(header->account, (int64_t)bytes - (int64_t)header->bytes);
    header->bytes = bytes;
    return STATUS_OK;
}

enum status memory_commit(void *block, size_t bytes) {
    struct header *header = (void *)((char *)block - ALIGNMENT);
    ASSERT(header->reserved >= margin() + bytes);
    if (bytes <= header->bytes)
        return STATUS_OK;
    TRY(protect(header, bytes));
    return count_more(header, bytes);
}

enum status memory_pretend_more(void *block, size_t bytes) {
    return count_more((void *)((char *)block - ALIGNMENT), bytes);
}

static const struct header *header_of(const void *block) {
    return (const void *)((const char *)block - ALIGNMENT);
}

enum status memory_resize(void *pointer, size_t count, size_t size, const char *label) {
    void *old, *grown;
    memcpy(&old, pointer, sizeof old);
    TRY(memory_allocate(&grown, count, size, label));
    if (old != NULL) {
        const size_t before = header_of(old)->bytes, after = header_of(grown)->bytes;
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
        const struct header header = *header_of(block);
        book(header.account, -(int64_t)header.bytes);
        if (header.reserved > 0)
            munmap(header.start, header.reserved);
        else
            free(header.start);
    }
    block = NULL;
    memcpy(pointer, &block, sizeof block);
}

/* A page that is looked at brings others of its page table along, also those before it; so the
 * window of the first byte goes too, as far as it belongs to the mapping. */
void memory_forget_mapped(void *mapping, const void *from, size_t bytes) {
    enum { WINDOW = 2 << 20 };
    const uintptr_t start = (uintptr_t)mapping, begin = (uintptr_t)from / WINDOW * WINDOW;
    const size_t skipped = begin > start ? begin - start : 0;
    const size_t end = (size_t)((uintptr_t)from - start) + bytes;
    madvise((char *)mapping + skipped, end - skipped, MADV_DONTNEED); /* no more than a hint */
}

void memory_give_back(void) {
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
#endif
}

/* --- what was booked --- */

struct memory_totals memory_totals(void) {
    return (struct memory_totals){.bytes = atomic_load(&held),
                                  .peak_bytes = atomic_load(&peak),
                                  .allocations = atomic_load(&allocations)};
}

void memory_watch(void) {
    const int count = atomic_load(&account_count);
    for (int i = 0; i < count; i++)
        atomic_store(&accounts[i].peak, atomic_load(&accounts[i].held));
    atomic_store(&watched_peak, atomic_load(&held));
    note_peak();
}

int memory_accounts(struct memory_account *out, int capacity) {
    const int count = atomic_load(&account_count);
    for (int i = 0; i < count && i < capacity; i++) {
        memcpy(out[i].label, accounts[i].label, sizeof out[i].label);
        out[i].bytes = atomic_load(&accounts[i].held);
        out[i].peak_bytes = atomic_load(&accounts[i].peak);
        out[i].at_peak_bytes = atomic_load(&accounts[i].at_peak);
    }
    return count;
}

int64_t memory_peak_resident_bytes(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

int64_t memory_resident_bytes(void) {
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return memory_peak_resident_bytes();
    if (fscanf(file, "%*d %lld", &pages) != 1)
        pages = 0;
    fclose(file);
    return (int64_t)pages * (int64_t)sysconf(_SC_PAGESIZE);
}
