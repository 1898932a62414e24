/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of threads on fibers. A block's threads run one at a time, each until it waits for others;
 * which comes next is drawn (GRADUS_FIBER_SEED: 1 unless set; 0: in ascending order), so that a
 * missing barrier shows as numbers that change with the seed, or as the poison that shared memory
 * is filled with. Threads that wait for one that cannot come end the process with a sentence.
 */
#ifndef CUDA_HOST_FIBER_H
#define CUDA_HOST_FIBER_H

#include <stddef.h>
#include <stdint.h>

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {
    }
};

/* What the running thread sees of itself. */
struct fiber_view {
    dim3 thread, block, threads, blocks;
    unsigned index = 0; /* of the thread in its block */
};
/* __thread, since `extern thread_local` asks at every use whether another file has made it. */
extern __thread struct fiber_view fiber_now;

/* One launch; `release` gives `call` back. */
struct fiber_kernel {
    const char *text; /* the launch as it is written in the source */
    dim3 grid, block;
    size_t shared_bytes;
    void (*run)(void *call);
    void (*release)(void *call);
    void *call;
};

/* Puts the launch into the stream (NULL: runs it at once). Owns the call from here on. 0, or CUDA's
 * error code for a shape that no GPU takes. */
int fiber_launch(void *stream, const struct fiber_kernel &kernel);

/* Ends the process: a kernel's argument that points to memory which is not the device's; an address
 * outside the block's shared memory, or not a multiple of 16. */
void fiber_check_pointer(const char *text, const void *pointer);
void fiber_check_shared(const void *address, size_t bytes);
void fiber_check_aligned(const void *address);

unsigned char *fiber_shared();

/* All threads of the block. */
void fiber_barrier();

/* All lanes of the warp: each gives up to 64 bytes, and sees what all gave until its next exchange.
 * `join`, if any, is called once, when all have given. Lanes that meet in exchanges of different
 * kinds end the process. */
enum fiber_kind {
    FIBER_SYNC,
    FIBER_SHUFFLE,
    FIBER_BALLOT,
    FIBER_SUM,
    FIBER_MAXIMUM,
    FIBER_MMA,
    FIBER_MATRIX
};
struct fiber_slot {
    alignas(8) unsigned char bytes[64];
};
const struct fiber_slot *fiber_exchange(enum fiber_kind kind, const void *mine, size_t bytes,
                                        void (*join)(struct fiber_slot *slots) = NULL);

/* A copy poisons its destination when it is issued and writes it when it is waited for. */
void fiber_copy_async(void *shared, const void *global, bool valid);
void fiber_copy_commit();
void fiber_copy_wait(int groups_left);

#endif
