/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/host/fiber.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cuda/host/fiber_switch.h"
#include "cuda/host/queue.h"

__thread struct fiber_view fiber_now;

namespace {

enum {
    MOST_THREADS = 1024,
    WARP = 32,
    STACK_BYTES = 256 * 1024,
    MOST_COPIES = 128,      /* issued and not waited for, by one thread */
    SHARED_ALIGNMENT = 128, /* of the block's shared memory */
    POISON = 0xff           /* a NaN in every kind of number */
};

enum { ERROR_CONFIGURATION = 9 }; /* cudaErrorInvalidConfiguration */
const size_t MOST_SHARED = 227 * 1024;
const unsigned MOST_GRID_YZ = 65535;

enum state { READY, AT_BARRIER, AT_EXCHANGE, ENDED };

struct copy {
    void *shared;
    const void *global;
    bool valid;
    int group; /* counted by commits */
};

struct fiber {
    struct fiber_context context;
    enum state state;
    unsigned exchanges; /* so far: its parity chooses the slots */
    int copies, groups; /* in flight; committed so far */
    struct copy copy[MOST_COPIES];
};

struct warp {
    int arrived;
    enum fiber_kind kind;
    struct fiber_slot slots[2][WARP];
};

/* One OS thread's machinery: stacks are kept from launch to launch. */
struct runtime {
    struct fiber *fibers;
    struct warp *warps;
    unsigned char *stacks;
    unsigned char *shared_map; /* pages, with one before and one behind that nobody may touch */
    size_t shared_map_bytes;
    unsigned char *shared;
    size_t shared_bytes;
    struct fiber_context scheduler;
    const struct fiber_kernel *kernel;
    unsigned threads, arrived;
    uint64_t random;
    bool shuffles, opened;
};
thread_local struct runtime now;

[[noreturn]] __attribute__((format(printf, 1, 2))) void end_process(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "kernel %s, block (%u, %u, %u), thread (%u, %u, %u): ",
            now.kernel != NULL ? now.kernel->text : "?", fiber_now.block.x, fiber_now.block.y,
            fiber_now.block.z, fiber_now.thread.x, fiber_now.thread.y, fiber_now.thread.z);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

uint64_t draw() { /* xorshift64 (Marsaglia 2003) */
    now.random ^= now.random << 13;
    now.random ^= now.random >> 7;
    now.random ^= now.random << 17;
    return now.random;
}

void *map_pages(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        end_process("no memory for %zu bytes of stacks or shared memory", bytes);
    return pages;
}

void forbid_page(unsigned char *page) {
    if (mprotect(page, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE) != 0)
        end_process("a page cannot be protected");
}

void open_runtime() {
    const char *seed = getenv("GRADUS_FIBER_SEED");
    const unsigned long long value = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    now.shuffles = value != 0;
    now.random = 0x9e3779b97f4a7c15u * (value + 1) | 1;
    now.fibers = new fiber[MOST_THREADS]();
    now.warps = new warp[MOST_THREADS / WARP]();
    now.stacks = (unsigned char *)map_pages((size_t)MOST_THREADS * STACK_BYTES);
    for (int i = 0; i < MOST_THREADS; i++) {
        forbid_page(now.stacks + (size_t)i * STACK_BYTES);
        now.fibers[i].context.stack = now.stacks + (size_t)i * STACK_BYTES;
        now.fibers[i].context.stack_bytes = STACK_BYTES;
    }
    now.opened = true;
}

/* --- shared memory --- */

/* The block's bytes end where the forbidden page begins, as nearly as their alignment lets them. */
void open_shared(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t aligned = (bytes + SHARED_ALIGNMENT - 1) / SHARED_ALIGNMENT * SHARED_ALIGNMENT;
    const size_t map_bytes = (aligned + page - 1) / page * page + 2 * page;
    if (map_bytes != now.shared_map_bytes) {
        if (now.shared_map != NULL)
            munmap(now.shared_map, now.shared_map_bytes);
        now.shared_map = (unsigned char *)map_pages(map_bytes);
        now.shared_map_bytes = map_bytes;
        forbid_page(now.shared_map);
        forbid_page(now.shared_map + map_bytes - page);
    }
    now.shared = now.shared_map + map_bytes - page - aligned;
    now.shared_bytes = bytes;
}

void poison_shared() {
    memset(now.shared_map + sysconf(_SC_PAGESIZE), POISON,
           now.shared_map_bytes - 2 * (size_t)sysconf(_SC_PAGESIZE));
}

/* Before and behind the block's bytes, up to the forbidden pages, the poison still stands. */
void check_around_shared() {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const unsigned char *end = now.shared_map + now.shared_map_bytes - page;
    for (const unsigned char *p = now.shared_map + page; p < end; p++)
        if (*p != POISON && (p < now.shared || p >= now.shared + now.shared_bytes))
            end_process("wrote at byte %td of %zu bytes of shared memory", p - now.shared,
                        now.shared_bytes);
}

/* --- a block --- */

void set_thread(unsigned index) {
    const dim3 size = now.kernel->block;
    fiber_now.index = index;
    fiber_now.thread = dim3(index % size.x, index / size.x % size.y, index / size.x / size.y);
}

struct fiber *current() {
    return &now.fibers[fiber_now.index];
}

void enter_thread() {
    fiber_context_entered();
    now.kernel->run(now.kernel->call);
    struct fiber *self = current();
    self->state = ENDED;
    fiber_context_switch(&self->context, &now.scheduler, true);
}

/* Stops here until another thread makes this one ready. */
void wait_as(enum state state) {
    const unsigned index = fiber_now.index;
    struct fiber *self = &now.fibers[index];
    self->state = state;
    fiber_context_switch(&self->context, &now.scheduler, false);
}

void report_deadlock() {
    static const char *const what[] = {"is ready", "waits at __syncthreads",
                                       "waits in a collective of its warp", "has ended"};
    unsigned waits = 0;
    while (now.fibers[waits].state == ENDED)
        waits++;
    const enum state state = now.fibers[waits].state;
    for (unsigned i = 0; i < now.threads; i++) {
        const bool meets = state == AT_BARRIER || i / WARP == waits / WARP;
        if (meets && now.fibers[i].state != state) {
            const enum state other = now.fibers[i].state;
            set_thread(waits);
            end_process("%s, but thread %u of the block %s", what[state], i, what[other]);
        }
    }
    end_process("no thread can go on");
}

unsigned common_divisor(unsigned a, unsigned b) {
    return b == 0 ? a : common_divisor(b, a % b);
}

/* One visit to every thread that can run, in an order of its own. */
bool run_round() {
    unsigned step = 1, at = 0;
    if (now.shuffles) {
        at = (unsigned)(draw() % now.threads);
        do
            step = 1 + (unsigned)(draw() % now.threads);
        while (common_divisor(step, now.threads) != 1); /* so that all are visited */
    }
    bool ran = false;
    for (unsigned i = 0; i < now.threads; i++, at = (at + step) % now.threads) {
        struct fiber *fiber = &now.fibers[at];
        if (fiber->state != READY)
            continue;
        set_thread(at);
        fiber_context_switch(&now.scheduler, &fiber->context, false);
        ran = true;
    }
    return ran;
}

bool all_ended() {
    for (unsigned i = 0; i < now.threads; i++)
        if (now.fibers[i].state != ENDED)
            return false;
    return true;
}

void run_block() {
    poison_shared();
    now.arrived = 0;
    for (unsigned i = 0; i < now.threads; i++) {
        struct fiber *fiber = &now.fibers[i];
        fiber->state = READY;
        fiber->exchanges = 0;
        fiber->copies = fiber->groups = 0;
        fiber_context_begin(&fiber->context, enter_thread);
    }
    for (unsigned i = 0; i < (now.threads + WARP - 1) / WARP; i++)
        now.warps[i].arrived = 0;
    while (run_round())
        continue;
    if (!all_ended())
        report_deadlock();
    check_around_shared();
}

void run_kernel(const struct fiber_kernel *kernel) {
    if (!now.opened)
        open_runtime();
    now.kernel = kernel;
    const dim3 grid = kernel->grid, block = kernel->block;
    now.threads = block.x * block.y * block.z;
    fiber_now.threads = block;
    fiber_now.blocks = grid;
    open_shared(kernel->shared_bytes);
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    const uint64_t first = now.shuffles ? draw() % blocks : 0; /* a GPU promises no order */
    for (uint64_t i = 0; i < blocks; i++) {
        const uint64_t b = (first + i) % blocks;
        fiber_now.block = dim3((unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
                               (unsigned)(b / grid.x / grid.y));
        run_block();
    }
    now.kernel = NULL;
}

/* --- launches --- */

void run_closure(void *closure) {
    run_kernel((const struct fiber_kernel *)closure);
}

void release_closure(void *closure) {
    auto *kernel = (struct fiber_kernel *)closure;
    kernel->release(kernel->call);
    delete kernel;
}

bool fits(const struct fiber_kernel &kernel) {
    const dim3 grid = kernel.grid, block = kernel.block;
    const uint64_t threads = (uint64_t)block.x * block.y * block.z;
    return threads >= 1 && threads <= MOST_THREADS && block.z <= 64 && grid.y <= MOST_GRID_YZ &&
           grid.z <= MOST_GRID_YZ && grid.x <= INT32_MAX && kernel.shared_bytes <= MOST_SHARED;
}

} // namespace

int fiber_launch(void *stream, const struct fiber_kernel &kernel) {
    if (!fits(kernel)) {
        kernel.release(kernel.call);
        return ERROR_CONFIGURATION;
    }
    if (stream != NULL)
        return queue_push(stream, {run_closure, release_closure, new fiber_kernel(kernel)});
    run_kernel(&kernel);
    kernel.release(kernel.call);
    return 0;
}

/* --- what a thread calls --- */

void fiber_check_pointer(const char *text, const void *pointer) {
    if (queue_is_device_memory(pointer))
        return;
    fprintf(stderr, "kernel %s: the argument %p is not memory of the device\n", text, pointer);
    abort();
}

void fiber_check_shared(const void *address, size_t bytes) {
    const auto *begin = (const unsigned char *)address;
    if (begin < now.shared || begin + bytes > now.shared + now.shared_bytes)
        end_process("%zu bytes at byte %td of %zu bytes of shared memory", bytes,
                    begin - now.shared, now.shared_bytes);
    fiber_check_aligned(address);
}

void fiber_check_aligned(const void *address) {
    if ((uintptr_t)address % 16 != 0)
        end_process("16 bytes at %p, which is no multiple of 16", address);
}

unsigned char *fiber_shared() {
    return now.shared;
}

void fiber_barrier() {
    if (++now.arrived < now.threads) {
        wait_as(AT_BARRIER);
        return;
    }
    now.arrived = 0;
    for (unsigned i = 0; i < now.threads; i++)
        now.fibers[i].state = READY;
    wait_as(READY); /* so that the last to come is not always the first to go on */
}

const struct fiber_slot *fiber_exchange(enum fiber_kind kind, const void *mine, size_t bytes,
                                        void (*join)(struct fiber_slot *slots)) {
    static const char *const names[] = {"__syncwarp",   "a shuffle", "a ballot",   "warp_sum",
                                        "warp_maximum", "a product", "load_matrix"};
    const unsigned first = fiber_now.index / WARP * WARP, lane = fiber_now.index % WARP;
    if (first + WARP > now.threads)
        end_process("%s in a warp of %u threads; all 32 lanes take part", names[kind],
                    now.threads - first);
    struct warp *warp = &now.warps[first / WARP];
    struct fiber_slot *slots = warp->slots[current()->exchanges++ % 2];
    if (warp->arrived > 0 && warp->kind != kind)
        end_process("%s, while another lane of the warp is in %s", names[kind], names[warp->kind]);
    warp->kind = kind;
    if (bytes > 0)
        memcpy(slots[lane].bytes, mine, bytes);
    if (++warp->arrived < WARP) {
        wait_as(AT_EXCHANGE);
        return slots;
    }
    warp->arrived = 0;
    if (join != NULL)
        join(slots);
    for (unsigned i = first; i < first + WARP; i++)
        now.fibers[i].state = READY;
    return slots;
}

void fiber_copy_async(void *shared, const void *global, bool valid) {
    struct fiber *self = current();
    fiber_check_aligned(global);
    if (self->copies == MOST_COPIES)
        end_process("more than %d copies in flight", (int)MOST_COPIES);
    self->copy[self->copies++] = {shared, global, valid, self->groups};
    memset(shared, POISON, 16);
}

void fiber_copy_commit() {
    current()->groups++;
}

void fiber_copy_wait(int groups_left) {
    struct fiber *self = current();
    int kept = 0;
    for (int i = 0; i < self->copies; i++) {
        const struct copy copy = self->copy[i];
        if (copy.group >= self->groups - groups_left) {
            self->copy[kept++] = copy;
        } else if (copy.valid) {
            memcpy(copy.shared, copy.global, 16);
        } else {
            memset(copy.shared, 0, 16);
        }
    }
    self->copies = kept;
}
