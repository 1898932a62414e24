/* SPDX-License-Identifier: Apache-2.0
 *
 * A library to preload: on one rank the n-th request for memory, or the n-th change of a file, fails.
 *
 *   FAULT_RANK   the rank, as the launcher numbers it
 *   FAULT_KIND   memory (malloc, calloc, realloc, aligned_alloc) or file (open for writing, write,
 *                pwrite, fsync, rename, mkdir)
 *   FAULT_AT     n, from 1; 0: nothing fails
 *   FAULT_COUNT  a file that gets the number of requests seen, when the process ends; none by default
 *
 * Only requests made by the program and by jansson, PCRE2 and utf8proc count, and for files
 * HDF5's: other libraries die of them by themselves (libconfig 1.5 does). Of requests by the
 * same chain of callers only the first ones count (PER_CHAIN): the thousandth line of a file meets
 * what the first one met.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

enum { RANGES = 32, CHAINS = 1 << 14, DEPTH = 16, PER_CHAIN = 2 };
static struct { uintptr_t begin, end; } ranges[RANGES];
static int range_count;

enum kind { MEMORY, FILES };
static enum kind wanted;
static long fail_at;
static atomic_long seen;
static struct {
    uint64_t hash;
    int times;
} chains[CHAINS];
static atomic_flag chains_busy = ATOMIC_FLAG_INIT;

static bool counts(const char *object) {
    static const char *const names[] = {"libjansson", "libpcre2", "libutf8proc"};
    if (object[0] == '\0') /* the program itself */
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(object, names[i]) != NULL)
            return true;
    return wanted == FILES && strstr(object, "libhdf5") != NULL;
}

static int add_ranges(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    (void)context;
    for (int i = 0; counts(info->dlpi_name) && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || range_count == RANGES)
            continue;
        ranges[range_count].begin = info->dlpi_addr + part->p_vaddr;
        ranges[range_count].end = ranges[range_count].begin + part->p_memsz;
        range_count++;
    }
    return 0;
}

static const char *rank_of_launcher(void) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    return rank != NULL ? rank : getenv("PMI_RANK");
}

__attribute__((constructor)) static void begin(void) {
    const char *kind = getenv("FAULT_KIND"), *rank = getenv("FAULT_RANK"), *at = getenv("FAULT_AT"),
               *mine = rank_of_launcher();
    if (kind == NULL || rank == NULL || at == NULL || mine == NULL || strcmp(rank, mine) != 0)
        return;
    wanted = strcmp(kind, "file") == 0 ? FILES : MEMORY;
    fail_at = strtol(at, NULL, 10);
    dl_iterate_phdr(add_ranges, NULL);
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNT");
    FILE *file = range_count > 0 && path != NULL ? fopen(path, "w") : NULL;
    if (file == NULL)
        return;
    fprintf(file, "%ld\n", atomic_load(&seen));
    fclose(file);
}

static bool is_ours(uintptr_t caller) {
    for (int i = 0; i < range_count; i++)
        if (caller >= ranges[i].begin && caller < ranges[i].end)
            return true;
    return false;
}

static uint64_t hash_of_callers(void) {
    void *callers[DEPTH];
    const int depth = backtrace(callers, DEPTH);
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < depth; i++)
        hash = (hash ^ (uint64_t)(uintptr_t)callers[i]) * 1099511628211u;
    return hash | 1;
}

/* Whether this chain of callers has not come PER_CHAIN times yet. A full table counts no more. */
static bool is_new(uint64_t hash) {
    while (atomic_flag_test_and_set(&chains_busy)) {
    }
    size_t at = hash % CHAINS, looks = 0;
    while (chains[at].hash != 0 && chains[at].hash != hash && looks++ < CHAINS)
        at = (at + 1) % CHAINS;
    chains[at].hash = hash;
    const bool is_new = looks <= CHAINS && chains[at].times++ < PER_CHAIN;
    atomic_flag_clear(&chains_busy);
    return is_new;
}

/* Whether this request is the one to fail. */
static bool fails(enum kind kind, const void *caller) {
    return kind == wanted && is_ours((uintptr_t)caller) && is_new(hash_of_callers()) &&
           atomic_fetch_add(&seen, 1) + 1 == fail_at;
}

#define FAILS(kind) fails((kind), __builtin_return_address(0))
#define NEXT(name)  ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void *malloc(size_t size) {
    return FAILS(MEMORY) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    return FAILS(MEMORY) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *block, size_t size) {
    return FAILS(MEMORY) ? NULL : __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return FAILS(MEMORY) ? NULL : __libc_memalign(alignment, size);
}

/* The disk is full. */
static int full(void) {
    errno = ENOSPC;
    return -1;
}

ssize_t write(int file, const void *bytes, size_t n) {
    return FAILS(FILES) ? full() : NEXT(write)(file, bytes, n);
}

ssize_t pwrite64(int file, const void *bytes, size_t n, off64_t at) {
    return FAILS(FILES) ? full() : NEXT(pwrite64)(file, bytes, n, at);
}

int fsync(int file) {
    return FAILS(FILES) ? full() : NEXT(fsync)(file);
}

int rename(const char *from, const char *to) {
    return FAILS(FILES) ? full() : NEXT(rename)(from, to);
}

int mkdir(const char *path, mode_t mode) {
    return FAILS(FILES) ? full() : NEXT(mkdir)(path, mode);
}

int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    if ((flags & O_ACCMODE) != O_RDONLY && FAILS(FILES))
        return full();
    return NEXT(open64)(path, flags, mode);
}
