/* SPDX-License-Identifier: Apache-2.0
 *
 * Flat vectors. All are bound by memory; each goes over its vectors once, four elements a thread
 * where the addresses allow it.
 */
#include "cuda/kernel/vector.h"

#include "backend/backend.h"
#include "cuda/kernel/rows.cuh"

enum { VECTOR_THREADS = 256 };

/* --- sums in fixed point --- */

struct fixed_point {
    double scale, bound;
};

/* `old` and the rounded value; what cannot be taken is noted instead. */
static __device__ __forceinline__ int64_t fixed_add(int64_t old, float value, fixed_point p,
                                                    struct refused &refused) {
    const double scaled = (double)value * p.scale, size = fabs((double)value);
    if (fabs(scaled) <= p.bound)
        return old + (int64_t)llrint(scaled);
    if (size < (double)INFINITY)
        refused.largest = size > refused.largest ? size : refused.largest;
    else
        refused.nonfinite++;
    return old;
}

struct long_quad {
    int64_t v[4];
};

static __device__ __forceinline__ int64_t long_of(uint32_t low, uint32_t high) {
    return (int64_t)((uint64_t)high << 32 | low);
}

template <bool ALIGNED>
static __device__ __forceinline__ long_quad read_longs(const int64_t *from, int64_t left) {
    long_quad a = {};
    if (ALIGNED && left > 0) {
        const vec16 low = load_16(from), high = load_16(from + 2);
        a = long_quad{{long_of(low.w[0], low.w[1]), long_of(low.w[2], low.w[3]),
                       long_of(high.w[0], high.w[1]), long_of(high.w[2], high.w[3])}};
    }
    if (!ALIGNED)
        for (int i = 0; i < 4; i++)
            if (i < left)
                a.v[i] = from[i];
    return a;
}

static __device__ __forceinline__ vec16 vec_of(int64_t a, int64_t b) {
    return vec16{
        {(uint32_t)a, (uint32_t)((uint64_t)a >> 32), (uint32_t)b, (uint32_t)((uint64_t)b >> 32)}};
}

template <bool ALIGNED>
static __device__ __forceinline__ void write_longs(int64_t *to, long_quad a, int64_t left) {
    if (ALIGNED && left > 0) {
        store_16(to, vec_of(a.v[0], a.v[1]));
        store_16(to + 2, vec_of(a.v[2], a.v[3]));
    }
    if (!ALIGNED)
        for (int i = 0; i < 4; i++)
            if (i < left)
                to[i] = a.v[i];
}

/* What the threads of a block refused, to its place. */
static __device__ __forceinline__ void keep_refused(const struct refused &own,
                                                    struct refused *parts) {
    double *largest = (double *)shared_memory();
    int64_t *counts = (int64_t *)(largest + 32);
    const double most = block_maximum(own.largest, largest);
    const int64_t count = block_sum(own.nonfinite, counts);
    if (thread_index() == 0)
        parts[blockIdx.x] = refused{most, count};
}

enum { REFUSED_BYTES = 32 * (sizeof(double) + sizeof(int64_t)) };

/* One block: adds what the blocks found. */
static __global__ void merge_refused(const struct refused *parts, int count,
                                     struct refused *refused) {
    double *largest = (double *)shared_memory();
    int64_t *counts = (int64_t *)(largest + 32);
    struct refused own = {};
    for (int i = thread_index(); i < count; i += VECTOR_THREADS) {
        own.largest = parts[i].largest > own.largest ? parts[i].largest : own.largest;
        own.nonfinite += parts[i].nonfinite;
    }
    const double most = block_maximum(own.largest, largest);
    const int64_t sum = block_sum(own.nonfinite, counts);
    if (thread_index() != 0)
        return;
    refused->largest = most > refused->largest ? most : refused->largest;
    refused->nonfinite += sum;
}

static int launch_merge_refused(void *stream, const struct refused *parts, dim3 grid,
                                struct refused *refused) {
    return LAUNCH(stream, merge_refused, dim3(1), dim3(VECTOR_THREADS), REFUSED_BYTES, parts,
                  (int)grid.x, refused);
}

static dim3 parts_for(int64_t n) {
    const dim3 grid = blocks_for(n, VECTOR_THREADS);
    return grid.x < VECTOR_PARTS ? grid : dim3(VECTOR_PARTS);
}

struct fixed_sum {
    const float *values;
    int64_t *total;
    int64_t n;
    fixed_point point;
    struct refused *parts;
};

template <bool ALIGNED>
static __global__ void __launch_bounds__(VECTOR_THREADS) accumulate_kernel(fixed_sum a) {
    const int64_t stride = 4 * (int64_t)gridDim.x * VECTOR_THREADS;
    struct refused refused = {};
    for (int64_t at = 4 * ((int64_t)blockIdx.x * VECTOR_THREADS + threadIdx.x); at < a.n;
         at += stride) {
        const int64_t left = ALIGNED ? (int64_t)4 : a.n - at;
        const quad values = read_quad<ALIGNED>(a.values + at, left);
        long_quad total = read_longs<ALIGNED>(a.total + at, left);
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (i < left)
                total.v[i] = fixed_add(total.v[i], values.v[i], a.point, refused);
        write_longs<ALIGNED>(a.total + at, total, left);
    }
    keep_refused(refused, a.parts);
}

int launch_accumulate(void *stream, const struct accumulate_launch *args) {
    const fixed_sum a = {args->values,
                         args->total,
                         args->n,
                         {ldexp(1.0, args->scale_bits), args->bound},
                         args->parts};
    const dim3 grid = parts_for((a.n + 3) / 4), block(VECTOR_THREADS);
    const bool aligned = a.n % 4 == 0 && aligned_16((const void *)a.values, (const void *)a.total);
    const int error = aligned
                          ? LAUNCH(stream, accumulate_kernel<true>, grid, block, REFUSED_BYTES, a)
                          : LAUNCH(stream, accumulate_kernel<false>, grid, block, REFUSED_BYTES, a);
    return error != 0 ? error : launch_merge_refused(stream, args->parts, grid, args->refused);
}

/* The launch in pieces of VECTOR_THREADS columns of a row. */
struct fixed_rows {
    accumulate_rows_launch launch;
    int64_t pieces;
    int per_row;
    fixed_point point;
};

static __global__ void __launch_bounds__(VECTOR_THREADS) accumulate_rows_kernel(fixed_rows a) {
    struct refused refused = {};
    for (int64_t piece = blockIdx.x; piece < a.pieces; piece += gridDim.x) {
        const int64_t i = piece / a.per_row;
        const int64_t c = piece % a.per_row * VECTOR_THREADS + threadIdx.x;
        if (c < a.launch.C) {
            int64_t *total = a.launch.total + a.launch.rows[i] * a.launch.C + c;
            const float value = a.launch.values[i * a.launch.C + c];
            *total = fixed_add(*total, value, a.point, refused);
        }
    }
    keep_refused(refused, a.launch.parts);
}

int launch_accumulate_rows(void *stream, const struct accumulate_rows_launch *args) {
    const int64_t per_row = (args->C + VECTOR_THREADS - 1) / VECTOR_THREADS;
    const fixed_rows a = {
        *args, args->count * per_row, (int)per_row, {ldexp(1.0, args->scale_bits), args->bound}};
    const dim3 grid((unsigned)(a.pieces < VECTOR_PARTS ? a.pieces : (int64_t)VECTOR_PARTS));
    const int error =
        LAUNCH(stream, accumulate_rows_kernel, grid, dim3(VECTOR_THREADS), REFUSED_BYTES, a);
    return error != 0 ? error : launch_merge_refused(stream, args->parts, grid, args->refused);
}

template <bool ALIGNED>
static __global__ void __launch_bounds__(VECTOR_THREADS)
    resolve_kernel(const int64_t *total, float *out, int64_t n, double scale) {
    const int64_t at = 4 * ((int64_t)blockIdx.x * VECTOR_THREADS + threadIdx.x), left = n - at;
    const long_quad sums = read_longs<ALIGNED>(total + at, left);
    quad values;
#pragma unroll
    for (int i = 0; i < 4; i++)
        values.v[i] = (float)((double)sums.v[i] * scale);
    write_quad<ALIGNED>(out + at, values, left);
}

int launch_resolve(void *stream, const struct resolve_launch *args) {
    const double scale = ldexp(1.0, -args->scale_bits);
    const dim3 grid = blocks_for((args->n + 3) / 4, VECTOR_THREADS), block(VECTOR_THREADS);
    return args->n % 4 == 0 && aligned_16((const void *)args->total, (const void *)args->out)
               ? LAUNCH(stream, resolve_kernel<true>, grid, block, 0, args->total, args->out,
                        args->n, scale)
               : LAUNCH(stream, resolve_kernel<false>, grid, block, 0, args->total, args->out,
                        args->n, scale);
}

/* --- scalar products --- */

/* A thread adds its quads of the block to four sums, one for each of their elements; then these,
 * warps and block. */
template <bool ALIGNED>
static __global__ void __launch_bounds__(VECTOR_THREADS)
    dot_kernel(const float *x, const float *y, double *blocks, int64_t n) {
    double *scratch = (double *)shared_memory();
    const int64_t begin = (int64_t)blockIdx.x * VECTOR_BLOCK;
    const int64_t end = begin + VECTOR_BLOCK < n ? begin + VECTOR_BLOCK : n;
    double sums[4] = {};
#pragma unroll 4
    for (int64_t at = begin + 4 * threadIdx.x; at < end; at += 4 * VECTOR_THREADS) {
        const quad a = read_quad<ALIGNED>(x + at, end - at),
                   b = read_quad<ALIGNED>(y + at, end - at);
#pragma unroll
        for (int i = 0; i < 4; i++)
            sums[i] += (double)a.v[i] * (double)b.v[i];
    }
    const double sum = block_sum((sums[0] + sums[1]) + (sums[2] + sums[3]), scratch);
    if (threadIdx.x == 0)
        blocks[blockIdx.x] = sum;
}

int launch_dot(void *stream, const struct dot_launch *args) {
    const dim3 grid = blocks_for(args->n, VECTOR_BLOCK), block(VECTOR_THREADS);
    const size_t bytes = 32 * sizeof(double);
    return args->n % 4 == 0 && aligned_16(args->x, args->y)
               ? LAUNCH(stream, dot_kernel<true>, grid, block, bytes, args->x, args->y,
                        args->blocks, args->n)
               : LAUNCH(stream, dot_kernel<false>, grid, block, bytes, args->x, args->y,
                        args->blocks, args->n);
}

/* --- mixtures --- */

template <bool ALIGNED>
static __global__ void __launch_bounds__(VECTOR_THREADS)
    add_kernel(const float *x, float *out, int64_t n) {
    const int64_t at = 4 * ((int64_t)blockIdx.x * VECTOR_THREADS + threadIdx.x), left = n - at;
    const quad a = read_quad<ALIGNED>(x + at, left);
    quad sum = read_quad<ALIGNED>(out + at, left);
#pragma unroll
    for (int i = 0; i < 4; i++)
        sum.v[i] += a.v[i];
    write_quad<ALIGNED>(out + at, sum, left);
}

int launch_add(void *stream, const struct add_launch *args) {
    const dim3 grid = blocks_for((args->n + 3) / 4, VECTOR_THREADS), block(VECTOR_THREADS);
    return args->n % 4 == 0 && aligned_16(args->x, args->out)
               ? LAUNCH(stream, add_kernel<true>, grid, block, 0, args->x, args->out, args->n)
               : LAUNCH(stream, add_kernel<false>, grid, block, 0, args->x, args->out, args->n);
}

template <bool ALIGNED>
static __global__ void __launch_bounds__(VECTOR_THREADS)
    lerp_kernel(const float *x, const float *y, float *out, int64_t n, float factor) {
    const int64_t at = 4 * ((int64_t)blockIdx.x * VECTOR_THREADS + threadIdx.x), left = n - at;
    quad start = read_quad<ALIGNED>(x + at, left);
    const quad end = read_quad<ALIGNED>(y + at, left);
#pragma unroll
    for (int i = 0; i < 4; i++)
        start.v[i] = fmaf(factor, end.v[i] - start.v[i], start.v[i]);
    write_quad<ALIGNED>(out + at, start, left);
}

int launch_lerp(void *stream, const struct lerp_launch *args) {
    const dim3 grid = blocks_for((args->n + 3) / 4, VECTOR_THREADS), block(VECTOR_THREADS);
    return args->n % 4 == 0 && aligned_16(args->x, args->y, args->out)
               ? LAUNCH(stream, lerp_kernel<true>, grid, block, 0, args->x, args->y, args->out,
                        args->n, args->factor)
               : LAUNCH(stream, lerp_kernel<false>, grid, block, 0, args->x, args->y, args->out,
                        args->n, args->factor);
}

/* --- numbers that are not finite --- */

static __device__ __forceinline__ int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* The smallest of the block's indices, in thread 0. */
static __device__ __forceinline__ int64_t block_earliest(int64_t index, int64_t *scratch) {
    return -block_maximum(-index, scratch);
}

template <typename T, bool ALIGNED>
static __global__ void __launch_bounds__(VECTOR_THREADS)
    nonfinite_kernel(const T *x, int64_t n, int64_t *parts) {
    const int64_t stride = 4 * (int64_t)gridDim.x * VECTOR_THREADS;
    int64_t first = INT64_MAX;
    for (int64_t at = 4 * ((int64_t)blockIdx.x * VECTOR_THREADS + threadIdx.x); at < n;
         at += stride) {
        const quad a = read_quad<ALIGNED>(x + at, n - at);
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (!(fabsf(a.v[i]) < INFINITY))
                first = earlier(first, at + i);
    }
    first = block_earliest(first, (int64_t *)shared_memory());
    if (threadIdx.x == 0)
        parts[blockIdx.x] = first;
}

static __global__ void first_nonfinite(const int64_t *parts, int count, int64_t *first) {
    int64_t own = INT64_MAX;
    for (int i = (int)threadIdx.x; i < count; i += VECTOR_THREADS)
        own = earlier(own, parts[i]);
    own = block_earliest(own, (int64_t *)shared_memory());
    if (threadIdx.x == 0)
        *first = own < INT64_MAX ? own : -1;
}

template <typename T>
static int launch_nonfinite_of(void *stream, const nonfinite_launch *args, dim3 grid) {
    const T *x = (const T *)args->x;
    const size_t bytes = 32 * sizeof(int64_t);
    return args->n % 4 == 0 && aligned_16(x)
               ? LAUNCH(stream, nonfinite_kernel<T, true>, grid, dim3(VECTOR_THREADS), bytes, x,
                        args->n, args->parts)
               : LAUNCH(stream, nonfinite_kernel<T, false>, grid, dim3(VECTOR_THREADS), bytes, x,
                        args->n, args->parts);
}

int launch_nonfinite(void *stream, const struct nonfinite_launch *args) {
    const dim3 grid = parts_for((args->n + 3) / 4);
    const int error = args->dtype == DTYPE_BF16 ? launch_nonfinite_of<bf16>(stream, args, grid)
                                                : launch_nonfinite_of<float>(stream, args, grid);
    if (error != 0)
        return error;
    return LAUNCH(stream, first_nonfinite, dim3(1), dim3(VECTOR_THREADS), 32 * sizeof(int64_t),
                  args->parts, (int)grid.x, args->first);
}

/* --- element types --- */

struct f16 {
    uint16_t bits;
};

/* Exact: a subnormal number is its digits times 2^-24. */
static __device__ __forceinline__ float to_float(f16 x) {
    const uint32_t sign = (uint32_t)(x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31u;
    const uint32_t digits = x.bits & 0x3ffu;
    if (exponent == 0) {
        const float size = (float)digits * 0x1p-24f;
        return sign != 0 ? -size : size;
    }
    if (exponent == 31)
        return bits_to_float(sign | 0x7f800000u | digits << 13);
    return bits_to_float(sign | (exponent + 112) << 23 | digits << 13);
}

static __device__ __forceinline__ quad load_quad(const f16 *from) {
    const vec8 a = load_8(from);
    quad out;
#pragma unroll
    for (int i = 0; i < 4; i++)
        out.v[i] = to_float(f16{(uint16_t)(a.w[i / 2] >> (i % 2 * 16))});
    return out;
}

template <bool ALIGNED>
static __device__ __forceinline__ quad read_quad(const f16 *from, int64_t left) {
    quad a = quad_of(0.0f);
    if (ALIGNED && left > 0)
        a = load_quad(from);
    if (!ALIGNED)
        for (int i = 0; i < 4; i++)
            if (i < left)
                a.v[i] = to_float(from[i]);
    return a;
}

template <typename From, typename To, bool ALIGNED>
static __global__ void __launch_bounds__(VECTOR_THREADS)
    convert_kernel(const From *x, To *out, int64_t n) {
    const int64_t at = 4 * ((int64_t)blockIdx.x * VECTOR_THREADS + threadIdx.x), left = n - at;
    write_quad<ALIGNED>(out + at, read_quad<ALIGNED>(x + at, left), left);
}

template <typename From, typename To>
static int launch_convert_of(void *stream, const convert_launch *args) {
    const dim3 grid = blocks_for((args->n + 3) / 4, VECTOR_THREADS), block(VECTOR_THREADS);
    const From *x = (const From *)args->x;
    To *out = (To *)args->out;
    return args->n % 4 == 0 && aligned_16(args->x, (const void *)out)
               ? LAUNCH(stream, convert_kernel<From, To, true>, grid, block, 0, x, out, args->n)
               : LAUNCH(stream, convert_kernel<From, To, false>, grid, block, 0, x, out, args->n);
}

template <typename To> static int launch_convert_to(void *stream, const convert_launch *args) {
    return args->from == DTYPE_F32    ? launch_convert_of<float, To>(stream, args)
           : args->from == DTYPE_BF16 ? launch_convert_of<bf16, To>(stream, args)
                                      : launch_convert_of<f16, To>(stream, args);
}

int launch_convert(void *stream, const struct convert_launch *args) {
    if (args->to == DTYPE_F16)
        return LAUNCH_INVALID;
    return args->to == DTYPE_BF16 ? launch_convert_to<bf16>(stream, args)
                                  : launch_convert_to<float>(stream, args);
}
