/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaving one stack for another: a few instructions on x86-64, ucontext elsewhere. The sanitizers
 * are told.
 */
#ifndef CUDA_HOST_FIBER_SWITCH_H
#define CUDA_HOST_FIBER_SWITCH_H

#include <stddef.h>

/* A stack and the place in it where it goes on. */
struct fiber_context {
    void *place; /* x86-64: stack pointer; elsewhere: a ucontext_t */
    void *stack;
    size_t stack_bytes;
    void *fake_stack; /* of the address sanitizer */
};

/* Prepares the context to begin with entry() on its stack. */
void fiber_context_begin(struct fiber_context *context, void (*entry)());

/* Goes on in `to` until something switches back to `from`. `last`: `from` never goes on. */
void fiber_context_switch(struct fiber_context *from, struct fiber_context *to, bool last);

/* The first thing that entry() calls. */
void fiber_context_entered();

/* Gives back what fiber_context_begin took. */
void fiber_context_end(struct fiber_context *context);

#endif
