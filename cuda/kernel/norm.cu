/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS norm (Zhang and Sennrich, arXiv 1910.07467). A block takes ROWS whole rows at once, so that
 * all their loads are under way before the first sum, and keeps them in registers: the forward reads
 * x once, the backward x, dy and dx once each.
 */
#include "cuda/kernel/norm.h"

#include "cuda/kernel/slots.cuh"

template <typename T> struct norm_rows {
    const float *x;
    const float *weight;
    T *y;
    float *inverse_rms;
    int64_t rows, C;
    float epsilon;
};

/* One place of a block's rows: `left` elements of the row remain there, none in rows that do not
 * exist. */
struct place {
    int64_t at, left;
};

static __device__ __forceinline__ place place_of(int64_t row, int64_t rows, int64_t C, int vec) {
    const int64_t c = 4 * (int64_t)(threadIdx.x + vec * blockDim.x);
    return place{row * C + c, row < rows ? C - c : 0};
}

/* 1 / √∞ = 0 would hide that the squares have left fp32. */
static __device__ __forceinline__ float inverse_of(float squares, int64_t C, float epsilon) {
    const float mean = squares / (float)C;
    return mean < INFINITY ? 1.0f / sqrtf(mean + epsilon) : NAN;
}

template <typename T, int VECS, bool ALIGNED>
static __device__ __forceinline__ void load_norm_row(const norm_rows<T> &a, int64_t row,
                                                     quad x[VECS]) {
#pragma unroll
    for (int vec = 0; vec < VECS; vec++) {
        const place p = place_of(row, a.rows, a.C, vec);
        x[vec] = read_quad<ALIGNED>(a.x + p.at, p.left);
    }
}

template <typename T, int VECS, int ROWS, bool ALIGNED>
static __global__ void __launch_bounds__(ROW_THREADS_MAX, 2) rmsnorm_kernel(norm_rows<T> a) {
    float *scratch = (float *)shared_memory();
    const int64_t first = (int64_t)blockIdx.x * ROWS;
    quad x[ROWS][VECS];
    float squares[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        load_norm_row<T, VECS, ALIGNED>(a, first + r, x[r]);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        squares[r] = 0.0f;
#pragma unroll
        for (int vec = 0; vec < VECS; vec++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                squares[r] = fmaf(x[r][vec].v[i], x[r][vec].v[i], squares[r]);
    }
    block_sums<ROWS>(squares, scratch);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const float inverse = inverse_of(squares[r], a.C, a.epsilon);
#pragma unroll
        for (int vec = 0; vec < VECS; vec++) {
            const place p = place_of(first + r, a.rows, a.C, vec);
            const quad weight = read_quad<ALIGNED>(a.weight + p.at - (first + r) * a.C, p.left);
#pragma unroll
            for (int i = 0; i < 4; i++)
                x[r][vec].v[i] = x[r][vec].v[i] * inverse * weight.v[i];
            write_quad<ALIGNED>(a.y + p.at, x[r][vec], p.left);
        }
        if (threadIdx.x == 0 && first + r < a.rows && a.inverse_rms != nullptr)
            a.inverse_rms[first + r] = inverse;
    }
}

/* Rows per block: several when there are enough of them to fill the device. A row's bits are the
 * same either way. */
enum { MANY_ROWS = 2048, ROWS_AT_ONCE = 4 };

template <typename T, int VECS, int ROWS, bool ALIGNED>
static int launch_norm_rows(void *stream, const norm_rows<T> &a, int threads) {
    return LAUNCH(stream, rmsnorm_kernel<T, VECS, ROWS, ALIGNED>,
                  dim3((unsigned)((a.rows + ROWS - 1) / ROWS)), dim3((unsigned)threads),
                  ROWS * 32 * sizeof(float), a);
}

template <typename T, bool ALIGNED> static int launch_norm(void *stream, const norm_rows<T> &a) {
    const row_shape shape = row_shape_of(a.C);
    const bool many = ALIGNED && a.rows >= MANY_ROWS;
    switch (shape.vecs) {
    case 1:
        return many ? launch_norm_rows<T, 1, ROWS_AT_ONCE, ALIGNED>(stream, a, shape.threads)
                    : launch_norm_rows<T, 1, 1, ALIGNED>(stream, a, shape.threads);
    case 2:
        return many ? launch_norm_rows<T, 2, ROWS_AT_ONCE, ALIGNED>(stream, a, shape.threads)
                    : launch_norm_rows<T, 2, 1, ALIGNED>(stream, a, shape.threads);
    default:
        return launch_norm_rows<T, 4, 1, ALIGNED>(stream, a, shape.threads);
    }
}

template <typename T> static int launch_norm_of(void *stream, const rmsnorm_launch *args) {
    const norm_rows<T> a = {args->x, args->weight, (T *)args->y, args->inverse_rms,
                            args->T, args->C,      args->epsilon};
    return rows_aligned(a.C, a.x, a.weight, a.y) ? launch_norm<T, true>(stream, a)
                                                 : launch_norm<T, false>(stream, a);
}

int launch_rmsnorm(void *stream, const struct rmsnorm_launch *args) {
    if (args->C > ROW_WIDTH_MAX)
        return LAUNCH_INVALID;
    return args->dtype == DTYPE_BF16 ? launch_norm_of<bf16>(stream, args)
                                     : launch_norm_of<float>(stream, args);
}

/* --- the gradient --- */

template <typename T> struct norm_gradient {
    const float *x, *weight, *inverse_rms;
    const T *dy;
    float *dx, *partial;
    int64_t rows, C, each; /* rows of a slot */
};

template <int ROWS, int VECS> struct norm_tile {
    quad x[ROWS][VECS], dy[ROWS][VECS], dx[ROWS][VECS];
};

template <typename T, int VECS, int ROWS, bool ALIGNED>
static __device__ __forceinline__ void load_tile(const norm_gradient<T> &a, int64_t first,
                                                 int64_t last, norm_tile<ROWS, VECS> &tile) {
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int vec = 0; vec < VECS; vec++) {
            const place p = place_of(first + r, last, a.C, vec);
            tile.x[r][vec] = read_quad<ALIGNED>(a.x + p.at, p.left);
            tile.dy[r][vec] = read_quad<ALIGNED>(a.dy + p.at, p.left);
            tile.dx[r][vec] = read_quad<ALIGNED>(a.dx + p.at, p.left);
        }
}

template <typename T, int VECS, int ROWS, bool ALIGNED>
static __global__ void __launch_bounds__(ROW_THREADS_MAX)
    rmsnorm_backward_kernel(norm_gradient<T> a) {
    float *scratch = (float *)shared_memory();
    const int64_t begin = (int64_t)blockIdx.x * a.each;
    const int64_t end = begin + a.each < a.rows ? begin + a.each : a.rows;
    quad weight[VECS], dweight[VECS];
#pragma unroll
    for (int vec = 0; vec < VECS; vec++) {
        const place p = place_of(0, 1, a.C, vec);
        weight[vec] = read_quad<ALIGNED>(a.weight + p.at, p.left);
        dweight[vec] = quad_of(0.0f);
    }
    for (int64_t first = begin; first < end; first += ROWS) {
        norm_tile<ROWS, VECS> tile;
        float products[ROWS], inverse[ROWS];
        load_tile<T, VECS, ROWS, ALIGNED>(a, first, end, tile);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            inverse[r] = first + r < end ? a.inverse_rms[first + r] : 0.0f;
            products[r] = 0.0f;
#pragma unroll
            for (int vec = 0; vec < VECS; vec++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    products[r] = fmaf(tile.dy[r][vec].v[i] * weight[vec].v[i], tile.x[r][vec].v[i],
                                       products[r]);
        }
        block_sums<ROWS>(products, scratch);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const float pull = products[r] / (float)a.C * inverse[r] * inverse[r];
#pragma unroll
            for (int vec = 0; vec < VECS; vec++) {
                const place p = place_of(first + r, end, a.C, vec);
                quad dx;
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const float x = tile.x[r][vec].v[i], dy = tile.dy[r][vec].v[i];
                    dweight[vec].v[i] = fmaf(dy, x * inverse[r], dweight[vec].v[i]);
                    dx.v[i] =
                        fmaf(dy * weight[vec].v[i] - x * pull, inverse[r], tile.dx[r][vec].v[i]);
                }
                write_quad<ALIGNED>(a.dx + p.at, dx, p.left);
            }
        }
    }
    if (a.partial != nullptr)
#pragma unroll
        for (int vec = 0; vec < VECS; vec++) {
            const place p = place_of(0, 1, a.C, vec);
            write_quad<ALIGNED>(a.partial + blockIdx.x * a.C + p.at, dweight[vec], p.left);
        }
}

template <typename T, int VECS, int ROWS, bool ALIGNED>
static int launch_gradient_rows(void *stream, const norm_gradient<T> &a, int threads) {
    return LAUNCH(stream, rmsnorm_backward_kernel<T, VECS, ROWS, ALIGNED>,
                  dim3((unsigned)slot_count(a.rows)), dim3((unsigned)threads),
                  ROWS * 32 * sizeof(float), a);
}

template <typename T, bool ALIGNED>
static int launch_gradient(void *stream, const norm_gradient<T> &a) {
    const row_shape shape = row_shape_of(a.C);
    switch (shape.vecs) {
    case 1:
        return launch_gradient_rows<T, 1, ROWS_AT_ONCE, ALIGNED>(stream, a, shape.threads);
    case 2:
        return launch_gradient_rows<T, 2, 2, ALIGNED>(stream, a, shape.threads);
    default:
        return launch_gradient_rows<T, 4, 1, ALIGNED>(stream, a, shape.threads);
    }
}

template <typename T>
static int launch_gradient_of(void *stream, const rmsnorm_backward_launch *args) {
    const norm_gradient<T> a = {
        args->x,           args->weight,
        args->inverse_rms, (const T *)args->dy,
        args->dx,          args->dweight != nullptr ? args->partial : nullptr,
        args->T,           args->C,
        slot_rows(args->T)};
    return rows_aligned(a.C, a.x, a.weight, a.dy, a.dx, a.partial)
               ? launch_gradient<T, true>(stream, a)
               : launch_gradient<T, false>(stream, a);
}

int launch_rmsnorm_backward(void *stream, const struct rmsnorm_backward_launch *args) {
    if (args->C > ROW_WIDTH_MAX)
        return LAUNCH_INVALID;
    const int error = args->dtype == DTYPE_BF16 ? launch_gradient_of<bf16>(stream, args)
                                                : launch_gradient_of<float>(stream, args);
    if (error != 0 || args->dweight == nullptr)
        return error;
    return launch_sum_slots(stream, slot_sums{args->partial, args->dweight, nullptr,
                                              slot_count(args->T), args->C, args->C});
}

int64_t norm_slots(int64_t T) {
    return slot_count(T);
}
