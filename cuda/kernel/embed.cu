/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows by index. Where several rows are added to one, the threads of the first of them add them all in
 * ascending order, along links between places with equal indices; those are found by comparing pairs
 * of indices, which are few and stay in the cache.
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

enum { CHUNK = 128 }; /* places that a warp looks at together */

/* Four indices from `at` on, of those that there are. */
struct indices {
    int32_t v[4];
};

static __device__ __forceinline__ indices read_indices(const scatter_rows_launch &a, int64_t at) {
    indices out = {{-1, -1, -1, -1}};
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

/* links[r]: the place before r with the same index, −1 for none; and from that place, links[R + ·], to
 * r. A place that has none behind it is not written there: whether what stands there is a link shows
 * in the other direction. A warp for each r. */
static __global__ void __launch_bounds__(EMBED_THREADS) link_kernel(scatter_rows_launch a) {
    const int64_t r = (int64_t)blockIdx.x * (EMBED_THREADS / 32) + warp_index();
    if (r >= a.R)
        return;
    const int32_t row = a.rows[r];
    int32_t before = -1;
    for (int64_t chunk = r / CHUNK; chunk >= 0 && before < 0; chunk--) {
        const int64_t at = chunk * CHUNK + 4 * lane_index();
        const indices other = read_indices(a, at);
        int32_t own = -1;
#pragma unroll
        for (int i = 0; i < 4; i++)
            own = at + i < r && other.v[i] == row ? (int32_t)at + i : own;
        if (warp_ballot(own >= 0) != 0)
            before = warp_maximum(own);
    }
    if (lane_index() != 0)
        return;
    a.links[r] = before;
    if (before >= 0)
        a.links[a.R + before] = (int32_t)r;
}

static __device__ __forceinline__ int64_t next_place(const scatter_rows_launch &a, int64_t place) {
    const int64_t next = a.links[a.R + place];
    return next > place && next < a.R && a.links[next] == place ? next : a.R;
}

enum { AHEAD = 8 };

/* A quad of columns of all rows that go together, read AHEAD at a time, from their first on. */
template <bool ALIGNED>
static __global__ void __launch_bounds__(EMBED_THREADS)
    scatter_kernel(scatter_rows_launch a, uint32_t quads) {
    const uint32_t i = blockIdx.x * EMBED_THREADS + threadIdx.x, r = i / quads;
    const int64_t c = 4 * (int64_t)(i % quads), left = a.C - c;
    if (r >= a.R || a.links[r] >= 0)
        return;
    float *to = a.out + a.rows[r] * a.C + c;
    quad sum = read_quad<ALIGNED>(to, left);
    for (int64_t at = r; at < a.R;) {
        quad x[AHEAD];
        int count = 0;
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            if (at < a.R) {
                x[k] = read_quad<ALIGNED>(a.x + at * a.C + c, left);
                at = next_place(a, at);
                count++;
            }
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                sum.v[e] = k < count ? sum.v[e] + x[k].v[e] : sum.v[e];
    }
    write_quad<ALIGNED>(to, sum, left);
}

int launch_scatter_rows(void *stream, const struct scatter_rows_launch *args) {
    const uint32_t quads = (uint32_t)((args->C + 3) / 4);
    const dim3 grid = blocks_for(args->R * quads, EMBED_THREADS), block(EMBED_THREADS);
    const int error =
        LAUNCH(stream, link_kernel, blocks_for(args->R, EMBED_THREADS / 32), block, 0, *args);
    if (error != 0)
        return error;
    return rows_aligned(args->C, args->x, args->out)
               ? LAUNCH(stream, scatter_kernel<true>, grid, block, 0, *args, quads)
               : LAUNCH(stream, scatter_kernel<false>, grid, block, 0, *args, quads);
}
