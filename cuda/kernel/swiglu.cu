/* SPDX-License-Identifier: Apache-2.0
 *
 * silu(gate) · up (Shazeer, arXiv 2002.05202). A thread has eight neighbouring elements.
 */
#include "cuda/kernel/swiglu.h"

#include "cuda/kernel/rows.cuh"

enum { SWIGLU_THREADS = 256 };

template <typename T> struct swiglu_rows {
    const T *gate_up, *dout;
    T *out;
    int64_t rows, F;
    uint32_t octets; /* of a row */
};

/* A thread's elements: column c of row t, `left` of them to the end of the row. */
struct piece {
    int64_t t, c, left;
};

template <typename T> static __device__ __forceinline__ piece piece_of(const swiglu_rows<T> &a) {
    const uint32_t i = blockIdx.x * SWIGLU_THREADS + threadIdx.x, t = i / a.octets;
    const int64_t c = 8 * (int64_t)(i % a.octets);
    return piece{t, c, t < a.rows ? a.F - c : 0};
}

static __device__ __forceinline__ float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

static __device__ __forceinline__ quad product(quad gate, quad up) {
#pragma unroll
    for (int i = 0; i < 4; i++)
        gate.v[i] = gate.v[i] * sigmoid(gate.v[i]) * up.v[i];
    return gate;
}

template <typename T, bool ALIGNED>
static __global__ void __launch_bounds__(SWIGLU_THREADS) swiglu_kernel(swiglu_rows<T> a) {
    const piece p = piece_of(a);
    const T *from = a.gate_up + p.t * 2 * a.F + p.c;
    const octet gate = read_octet<ALIGNED>(from, p.left);
    const octet up = read_octet<ALIGNED>(from + a.F, p.left);
    write_octet<ALIGNED>(a.out + p.t * a.F + p.c,
                         octet{product(gate.low, up.low), product(gate.high, up.high)}, p.left);
}

/* gate and up become their gradients. */
static __device__ __forceinline__ void differentiate(quad &gate, quad &up, quad dout) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float g = gate.v[i], d = dout.v[i], s = sigmoid(g);
        gate.v[i] = d * up.v[i] * (s * fmaf(g, 1.0f - s, 1.0f));
        up.v[i] = d * (g * s);
    }
}

template <typename T, bool ALIGNED>
static __global__ void __launch_bounds__(SWIGLU_THREADS) swiglu_backward_kernel(swiglu_rows<T> a) {
    const piece p = piece_of(a);
    const int64_t at = p.t * 2 * a.F + p.c;
    octet gate = read_octet<ALIGNED>(a.gate_up + at, p.left);
    octet up = read_octet<ALIGNED>(a.gate_up + at + a.F, p.left);
    const octet dout = read_octet<ALIGNED>(a.dout + p.t * a.F + p.c, p.left);
    differentiate(gate.low, up.low, dout.low);
    differentiate(gate.high, up.high, dout.high);
    write_octet<ALIGNED>(a.out + at, gate, p.left);
    write_octet<ALIGNED>(a.out + at + a.F, up, p.left);
}

template <typename T> static int launch_rows(void *stream, swiglu_rows<T> a) {
    a.octets = (uint32_t)((a.F + 7) / 8);
    const dim3 grid = blocks_for(a.rows * a.octets, SWIGLU_THREADS), block(SWIGLU_THREADS);
    const bool aligned = a.F % 8 == 0 && aligned_16(a.gate_up, a.dout, a.out);
    if (a.dout == nullptr)
        return aligned ? LAUNCH(stream, swiglu_kernel<T, true>, grid, block, 0, a)
                       : LAUNCH(stream, swiglu_kernel<T, false>, grid, block, 0, a);
    return aligned ? LAUNCH(stream, swiglu_backward_kernel<T, true>, grid, block, 0, a)
                   : LAUNCH(stream, swiglu_backward_kernel<T, false>, grid, block, 0, a);
}

template <typename T>
static int launch_typed(void *stream, const void *gate_up, const void *dout, void *out, int64_t T_,
                        int64_t F) {
    return launch_rows(stream,
                       swiglu_rows<T>{(const T *)gate_up, (const T *)dout, (T *)out, T_, F, 0});
}

int launch_swiglu(void *stream, const struct swiglu_launch *args) {
    return args->dtype == DTYPE_BF16
               ? launch_typed<bf16>(stream, args->gate_up, nullptr, args->out, args->T, args->F)
               : launch_typed<float>(stream, args->gate_up, nullptr, args->out, args->T, args->F);
}

int launch_swiglu_backward(void *stream, const struct swiglu_backward_launch *args) {
    return args->dtype == DTYPE_BF16 ? launch_typed<bf16>(stream, args->gate_up, args->dout,
                                                          args->dgate_up, args->T, args->F)
                                     : launch_typed<float>(stream, args->gate_up, args->dout,
                                                           args->dgate_up, args->T, args->F);
}
