/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/host/fiber_switch.h"

#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_SANITIZED 1
#endif
#endif

#ifdef FIBER_SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__) && !defined(FIBER_UCONTEXT)

extern "C" void fiber_switch_stack(void **from, void *to);

/* Pushes what the caller expects to find again (System V ABI), changes the stack, pops. */
asm(".text\n"
    ".globl fiber_switch_stack\n"
    ".hidden fiber_switch_stack\n"
    ".type fiber_switch_stack, @function\n"
    "fiber_switch_stack:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size fiber_switch_stack, . - fiber_switch_stack\n"
    ".section .note.GNU-stack,\"\",@progbits\n"
    ".text\n");

void fiber_context_begin(struct fiber_context *context, void (*entry)()) {
    enum { SAVED = 6 };
    auto **top = (void **)((unsigned char *)context->stack + context->stack_bytes);
    *--top = NULL; /* entry's return address: it never returns */
    *--top = (void *)entry;
    for (int i = 0; i < SAVED; i++)
        *--top = NULL;
    context->place = top;
}

void fiber_context_end(struct fiber_context *context) {
    context->place = NULL;
}

static void go(struct fiber_context *from, struct fiber_context *to) {
    fiber_switch_stack(&from->place, to->place);
}

#else

#include <ucontext.h>

static ucontext_t *context_of(struct fiber_context *context) {
    if (context->place == NULL)
        context->place = new ucontext_t;
    return (ucontext_t *)context->place;
}

void fiber_context_begin(struct fiber_context *context, void (*entry)()) {
    ucontext_t *place = context_of(context);
    getcontext(place);
    place->uc_stack.ss_sp = context->stack;
    place->uc_stack.ss_size = context->stack_bytes;
    place->uc_link = NULL;
    makecontext(place, entry, 0);
}

void fiber_context_end(struct fiber_context *context) {
    delete (ucontext_t *)context->place;
    context->place = NULL;
}

static void go(struct fiber_context *from, struct fiber_context *to) {
    swapcontext(context_of(from), context_of(to));
}

#endif

#ifdef FIBER_SANITIZED

/* The context that the last switch left: its stack is the caller's own where it had none. */
static thread_local struct fiber_context *left;

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to, bool last) {
    left = from;
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake_stack, to->stack, to->stack_bytes);
    go(from, to);
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(from->fake_stack, &bottom, &bytes);
}

void fiber_context_entered() {
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &bytes);
    if (left->stack == NULL) {
        left->stack = (void *)(uintptr_t)bottom;
        left->stack_bytes = bytes;
    }
}

#else

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to, bool last) {
    (void)last;
    go(from, to);
}

void fiber_context_entered() {
}

#endif
