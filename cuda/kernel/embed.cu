/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows by index. Where several rows are added to one, the places are sorted by their index first, by
 * comparing all pairs of indices, which are few and stay in the cache; then the threads at the first
 * place of an index add up the rows of all its places, in ascending order.
 */
#include "cuda/kernel/embed.h"

#include "cuda/kernel/rows.cuh"

enum { EMBED_THREADS = 256 };

template <typename T> struct chosen_rows {
    const T *x;
    const int32_t *rows;
    float *out;
    int64_t R, C, limit; /* rows of x */
    uint32_t quads;      /* of a row */
};

template <typename T, bool ALIGNED>
static __global__ void __launch_bounds__(EMBED_THREADS) choose_kernel(chosen_rows<T> a) {
    const uint32_t i = blockIdx.x * EMBED_THREADS + threadIdx.x, r = i / a.quads;
    const int64_t c = 4 * (int64_t)(i % a.quads);
    if (r >= a.R)
        return;
    const int64_t row = a.rows[r];
    const quad found =
        row >= 0 && row < a.limit ? read_quad<ALIGNED>(a.x + row * a.C + c, a.C - c) : quad_of(NAN);
    write_quad<ALIGNED>(a.out + r * a.C + c, found, a.C - c);
}

template <typename T> static int launch_choose(void *stream, chosen_rows<T> a) {
    a.quads = (uint32_t)((a.C + 3) / 4);
    const dim3 grid = blocks_for(a.R * a.quads, EMBED_THREADS), block(EMBED_THREADS);
    return rows_aligned(a.C, (const void *)a.x, (const void *)a.out)
               ? LAUNCH(stream, choose_kernel<T, true>, grid, block, 0, a)
               : LAUNCH(stream, choose_kernel<T, false>, grid, block, 0, a);
}

int launch_embed(void *stream, const struct embed_launch *args) {
    return args->dtype == DTYPE_BF16
               ? launch_choose(stream, chosen_rows<bf16>{(const bf16 *)args->table, args->tokens,
                                                         args->out, args->T, args->C, args->V, 0})
               : launch_choose(stream, chosen_rows<float>{(const float *)args->table, args->tokens,
                                                          args->out, args->T, args->C, args->V, 0});
}

int launch_gather_rows(void *stream, const struct gather_rows_launch *args) {
    return launch_choose(
        stream, chosen_rows<float>{args->x, args->rows, args->out, args->R, args->C, INT64_MAX, 0});
}

/* --- sums --- */

/* Places of equal indices stand together in `order`, in ascending order of the index and then of the
 * place; keys[i] is the index of order[i]. */
struct sorted_places {
    int32_t *order, *keys; /* (R) each */
};

static __host__ __device__ __forceinline__ sorted_places places_of(const scatter_rows_launch &a) {
    return sorted_places{a.places, a.places + a.R};
}

/* Four indices from `at` on; where there is none, one that no place has. */
struct indices {
    int32_t v[4];
};

static __device__ __forceinline__ indices read_indices(const scatter_rows_launch &a, int64_t at) {
    indices out = {{INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX}};
    if (at + 4 <= a.R && (uintptr_t)a.rows % 16 == 0) {
        const vec16 four = load_16(a.rows + at);
#pragma unroll
        for (int i = 0; i < 4; i++)
            out.v[i] = (int32_t)four.w[i];
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (at + i < a.R)
                out.v[i] = a.rows[at + i];
    }
    return out;
}

enum { RANKED = 8 }; /* places of a warp */

/* A place's rank is the number of places that come before it: those of smaller indices, and of the
 * same index to the left. Comparing all pairs reads the indices from the cache R / RANKED times. */
static __global__ void __launch_bounds__(EMBED_THREADS) rank_kernel(scatter_rows_launch a) {
    const int64_t first = RANKED * ((int64_t)blockIdx.x * (EMBED_THREADS / 32) + warp_index());
    int32_t own[RANKED], before[RANKED];
    if (first >= a.R)
        return;
#pragma unroll
    for (int k = 0; k < RANKED; k++) {
        own[k] = first + k < a.R ? a.rows[first + k] : 0;
        before[k] = 0;
    }
    for (int64_t at = 4 * lane_index(); at < a.R; at += 4 * 32) {
        const indices other = read_indices(a, at);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int k = 0; k < RANKED; k++)
                before[k] += other.v[i] < own[k] || (other.v[i] == own[k] && at + i < first + k);
    }
    const sorted_places sorted = places_of(a);
#pragma unroll
    for (int k = 0; k < RANKED; k++) {
        const int32_t rank = warp_sum(before[k]);
        if (lane_index() == k && first + k < a.R) {
            sorted.order[rank] = (int32_t)(first + k);
            sorted.keys[rank] = own[k];
        }
    }
}

enum { AHEAD = 8 };

/* A warp has 32 quads of columns. The one at the first of places with one index adds them all up, in
 * ascending order: it reads 32 places at once, then their rows AHEAD at a time. */
template <bool ALIGNED>
static __global__ void __launch_bounds__(EMBED_THREADS)
    scatter_kernel(scatter_rows_launch a, uint32_t parts) {
    const uint32_t i = blockIdx.x * (EMBED_THREADS / 32) + (uint32_t)warp_index();
    const int64_t first = i / parts, c = 4 * (int64_t)(i % parts * 32 + (uint32_t)lane_index());
    const sorted_places sorted = places_of(a);
    if (first >= a.R)
        return;
    const int32_t key = sorted.keys[first];
    if (first > 0 && sorted.keys[first - 1] == key)
        return;
    const int64_t left = a.C - c;
    float *to = a.out + key * a.C + c;
    quad sum = read_quad<ALIGNED>(to, left);
    for (int64_t at = first, count = 32; count == 32; at += 32) {
        const bool here = at + lane_index() < a.R && sorted.keys[at + lane_index()] == key;
        const int32_t own = here ? sorted.order[at + lane_index()] : 0;
        count = warp_sum(here ? 1 : 0);
        for (int k = 0; k < count; k += AHEAD) {
            quad x[AHEAD];
#pragma unroll
            for (int j = 0; j < AHEAD; j++) {
                const int64_t place = warp_shuffle(own, k + j < 32 ? k + j : 31);
                x[j] = read_quad<ALIGNED>(a.x + place * a.C + c, k + j < count ? left : 0);
            }
#pragma unroll
            for (int j = 0; j < AHEAD; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    sum.v[e] = k + j < count ? sum.v[e] + x[j].v[e] : sum.v[e];
        }
    }
    write_quad<ALIGNED>(to, sum, left);
}

int launch_scatter_rows(void *stream, const struct scatter_rows_launch *args) {
    const uint32_t parts = (uint32_t)((args->C + 127) / 128);
    const dim3 grid = blocks_for(args->R * parts, EMBED_THREADS / 32), block(EMBED_THREADS);
    const int error = LAUNCH(stream, rank_kernel, blocks_for(args->R, RANKED * EMBED_THREADS / 32),
                             block, 0, *args);
    if (error != 0)
        return error;
    return rows_aligned(args->C, args->x, args->out)
               ? LAUNCH(stream, scatter_kernel<true>, grid, block, 0, *args, parts)
               : LAUNCH(stream, scatter_kernel<false>, grid, block, 0, *args, parts);
}
