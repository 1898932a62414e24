/* SPDX-License-Identifier: Apache-2.0
 *
 * The gated activation of the MLP, silu(gate) · up (Shazeer, arXiv 2002.05202), and its gradient.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_row.h"

enum { WORK = 5000 };

struct swiglu_work {
    struct backend *backend;
    const struct swiglu_args *args;
};

static void swiglu_rows(const void *context, struct cpu_range range) {
    const struct swiglu_work *work = context;
    const struct swiglu_args *a = work->args;
    const float *gate_up = a->gate_up;
    float *out = a->out;
    for (int64_t t = range.begin; t < range.end; t++) {
        const float *gate = gate_up + t * 2 * a->F;
        CPU_CALL(work->backend, cpu_kernel_swiglu, out + t * a->F, gate, gate + a->F, a->F);
    }
}

enum status cpu_swiglu(struct backend *backend, const struct swiglu_args *args) {
    const struct swiglu_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->T, 1 + WORK / args->F, swiglu_rows, &work);
    return STATUS_OK;
}

struct swiglu_backward_work {
    struct backend *backend;
    const struct swiglu_backward_args *args;
};

static void swiglu_backward_rows(const void *context, struct cpu_range range) {
    const struct swiglu_backward_work *work = context;
    const struct swiglu_backward_args *a = work->args;
    void (*const kernel)(float *, float *, const float *, const float *, const float *, int64_t) =
        CPU_KERNEL(work->backend, cpu_kernel_swiglu_backward);
    const float *gate_up = a->gate_up, *dout = a->dout;
    float *dgate_up = a->dgate_up;
    for (int64_t t = range.begin; t < range.end; t++) {
        const float *gate = gate_up + t * 2 * a->F;
        float *dgate = dgate_up + t * 2 * a->F;
        kernel(dgate, dgate + a->F, gate, gate + a->F, dout + t * a->F, a->F);
    }
}

enum status cpu_swiglu_backward(struct backend *backend, const struct swiglu_backward_args *args) {
    const struct swiglu_backward_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->T, 1 + WORK / args->F, swiglu_backward_rows, &work);
    return STATUS_OK;
}
