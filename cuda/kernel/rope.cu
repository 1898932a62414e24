/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding (Su et al., arXiv 2104.09864; Hugging Face's order of elements). A team
 * of 1 to 32 neighbouring lanes has one head: each lane a quad of its lower half and the one D/2
 * behind it, so that a rotation needs nobody else and a norm's sum is an exchange within the team.
 * What a head becomes does not depend on where its team is.
 */
#include "cuda/kernel/rope.h"

#include "cuda/kernel/slots.cuh"

enum { ROPE_THREADS = 256, GRADIENT_THREADS = 512, HEAD_WIDTH_MAX = 256 };

template <typename T> struct rope_heads {
    const T *qkv;
    const int32_t *positions;
    const float *table, *q_norm, *k_norm;
    T *out;
    int64_t rows;
    int H, K, D, team;        /* lanes of a team, a power of two */
    float epsilon, direction; /* −1 turns back */
};

/* One head of a row, as one lane of its team sees it. */
struct head {
    int64_t row;
    int index; /* 0 .. H − 1: a query; then keys, then values */
    int lane;
};

/* Four elements and those D/2 behind them. */
struct pair {
    quad low, high;
};

template <typename T>
static __device__ __forceinline__ int64_t head_at(const rope_heads<T> &a, head h) {
    return (h.row * (a.H + 2 * a.K) + h.index) * a.D;
}

/* The lane's two quads of a head; beyond D/2 there is nothing. */
template <bool ALIGNED, typename T, typename E>
static __device__ __forceinline__ pair read_pair(const rope_heads<T> &a, const E *from, int at) {
    const int half = a.D / 2;
    return pair{read_quad<ALIGNED>(from + at, half - at),
                read_quad<ALIGNED>(from + half + at, half - at)};
}

template <bool ALIGNED, typename T>
static __device__ __forceinline__ void write_pair(const rope_heads<T> &a, T *to, int at, pair p) {
    const int half = a.D / 2;
    write_quad<ALIGNED>(to + at, p.low, half - at);
    write_quad<ALIGNED>(to + half + at, p.high, half - at);
}

/* Turns by the angles of a position; direction −1 turns back. */
static __device__ __forceinline__ pair rotate(pair x, pair angles, float direction) {
    pair out;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float cosine = angles.low.v[i], sine = angles.high.v[i] * direction;
        out.low.v[i] = x.low.v[i] * cosine - x.high.v[i] * sine;
        out.high.v[i] = x.high.v[i] * cosine + x.low.v[i] * sine;
    }
    return out;
}

/* Σ a b over the elements of a pair. */
static __device__ __forceinline__ float dot(pair a, pair b) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; i++)
        sum = fmaf(a.low.v[i], b.low.v[i], sum);
#pragma unroll
    for (int i = 0; i < 4; i++)
        sum = fmaf(a.high.v[i], b.high.v[i], sum);
    return sum;
}

static __device__ __forceinline__ pair times(pair a, pair b) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        a.low.v[i] *= b.low.v[i];
        a.high.v[i] *= b.high.v[i];
    }
    return a;
}

static __device__ __forceinline__ pair scaled(pair a, float factor) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        a.low.v[i] *= factor;
        a.high.v[i] *= factor;
    }
    return a;
}

/* Over the team, in all its lanes. */
static __device__ __forceinline__ float team_sum(float x, int team) {
    for (int mask = 16; mask > 0; mask /= 2) {
        const float other = warp_shuffle_xor(x, mask);
        x = mask < team ? x + other : x;
    }
    return x;
}

static __device__ __forceinline__ float inverse_of(float squares, int D, float epsilon) {
    const float mean = squares / (float)D;
    return mean < INFINITY ? 1.0f / sqrtf(mean + epsilon) : NAN;
}

template <typename T, bool ALIGNED, bool NORM>
static __global__ void __launch_bounds__(ROPE_THREADS) rope_kernel(rope_heads<T> a) {
    const uint32_t team = (blockIdx.x * ROPE_THREADS + threadIdx.x) / (uint32_t)a.team;
    const uint32_t heads = (uint32_t)(a.H + 2 * a.K);
    const head h = {team / heads, (int)(team % heads), (int)threadIdx.x % a.team};
    const bool here = h.row < a.rows, turns = here && h.index < a.H + a.K;
    const int at = here ? 4 * h.lane : a.D;
    const T *from = a.qkv + (here ? head_at(a, h) : 0);
    T *to = a.out + (here ? head_at(a, h) : 0);
    const float *angles = a.table + (turns ? (int64_t)a.positions[h.row] * a.D : 0);
    pair x = read_pair<ALIGNED>(a, from, at);
    if (NORM) {
        const float squares = team_sum(dot(x, x), a.team);
        const float *norm = h.index < a.H ? a.q_norm : a.k_norm;
        if (turns)
            x = times(scaled(x, inverse_of(squares, a.D, a.epsilon)),
                      read_pair<ALIGNED>(a, norm, at));
    }
    if (turns)
        x = rotate(x, read_pair<ALIGNED>(a, angles, at), a.direction);
    if (turns || to != from)
        write_pair<ALIGNED>(a, to, at, x);
}

/* --- the gradient --- */

template <typename T> struct rope_gradient {
    rope_heads<T> forward;
    T *dqkv;
    float *partial;
    int64_t each; /* rows of a slot */
};

/* Gradient with respect to a head as it came, of dy that with respect to its norm; and what the
 * norm's weight gets of it, dy · x · r. */
struct norm_back {
    pair dx, dweight;
};

static __device__ __forceinline__ norm_back norm_backward(pair x, pair dy, pair weight, int D,
                                                          int team, float epsilon) {
    const pair dnormed = times(dy, weight);
    const float inverse = inverse_of(team_sum(dot(x, x), team), D, epsilon);
    const float mean = team_sum(dot(dnormed, x), team) / (float)D;
    const float pull = mean * inverse * inverse;
    norm_back out;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        out.dweight.low.v[i] = dy.low.v[i] * (x.low.v[i] * inverse);
        out.dweight.high.v[i] = dy.high.v[i] * (x.high.v[i] * inverse);
        out.dx.low.v[i] = (dnormed.low.v[i] - x.low.v[i] * pull) * inverse;
        out.dx.high.v[i] = (dnormed.high.v[i] - x.high.v[i] * pull) * inverse;
    }
    return out;
}

/* Sums of a slot over its teams, in ascending order: partial[slot, which] (D). */
template <typename T>
static __device__ __forceinline__ void add_teams(const rope_gradient<T> &g, pair sums, int which) {
    const int D = g.forward.D, team = g.forward.team, half = D / 2;
    const int at = 4 * ((int)threadIdx.x % team);
    float *shared = (float *)shared_memory(), *own = shared + (int)threadIdx.x / team * D;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (at + i < half) {
            own[at + i] = sums.low.v[i];
            own[half + at + i] = sums.high.v[i];
        }
    __syncthreads();
    for (int d = (int)threadIdx.x; d < D; d += GRADIENT_THREADS) {
        float sum = 0.0f;
        for (int i = 0; i < GRADIENT_THREADS / team; i++)
            sum += shared[i * D + d];
        g.partial[((int64_t)blockIdx.x * 2 + which) * D + d] = sum;
    }
}

static __device__ __forceinline__ void add_pair(pair &to, pair x) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        to.low.v[i] += x.low.v[i];
        to.high.v[i] += x.high.v[i];
    }
}

/* Behind a norm: a block has the rows of one slot; its teams go through their heads side by side. */
template <typename T, bool ALIGNED>
static __global__ void __launch_bounds__(GRADIENT_THREADS, 2)
    rope_backward_kernel(rope_gradient<T> g) {
    const rope_heads<T> &a = g.forward;
    const int rotated = a.H + a.K, teams = GRADIENT_THREADS / a.team;
    const int64_t begin = (int64_t)blockIdx.x * g.each;
    const int64_t end = begin + g.each < a.rows ? begin + g.each : a.rows;
    const int count = (int)(end - begin) * rotated;
    pair dq = {}, dk = {};
    for (int first = 0; first < count; first += teams) {
        const int unit = first + (int)threadIdx.x / a.team;
        const bool here = unit < count;
        const head h = {begin + unit / rotated, unit % rotated, (int)threadIdx.x % a.team};
        const bool query = h.index < a.H;
        const int at = here ? 4 * h.lane : a.D;
        T *gradient = g.dqkv + (here ? head_at(a, h) : 0);
        const float *angles = a.table + (here ? (int64_t)a.positions[h.row] * a.D : 0);
        const pair dy =
            rotate(read_pair<ALIGNED>(a, gradient, at), read_pair<ALIGNED>(a, angles, at), -1.0f);
        const T *from = a.qkv + (here ? head_at(a, h) : 0);
        const norm_back back = norm_backward(read_pair<ALIGNED>(a, from, at), dy,
                                             read_pair<ALIGNED>(a, query ? a.q_norm : a.k_norm, at),
                                             a.D, a.team, a.epsilon);
        if (here && query)
            add_pair(dq, back.dweight);
        if (here && !query)
            add_pair(dk, back.dweight);
        write_pair<ALIGNED>(a, gradient, at, back.dx);
    }
    if (g.partial != nullptr) {
        add_teams(g, dq, 0);
        add_teams(g, dk, 1);
    }
}

/* --- launchers --- */

/* A head's lower half has D/8 quads: a team of the next power of two. */
static int team_of(int64_t D) {
    int team = 1;
    while (team * 8 < D)
        team *= 2;
    return team;
}

template <typename T> static rope_heads<T> heads_of(const rope_launch *args, float direction) {
    return rope_heads<T>{
        (const T *)args->qkv, args->positions, args->table,  args->q_norm, args->k_norm,
        (T *)args->out,       args->T,         (int)args->H, (int)args->K, (int)args->D,
        team_of(args->D),     args->epsilon,   direction};
}

template <typename T> static bool heads_aligned(const rope_heads<T> &a, const T *other) {
    return a.D % 8 == 0 && rows_aligned(a.D, a.qkv, a.table, a.q_norm, a.k_norm, a.out, other);
}

template <typename T, bool ALIGNED, bool NORM>
static int launch_heads(void *stream, const rope_heads<T> &a) {
    const int64_t lanes = a.rows * (a.H + 2 * a.K) * a.team;
    const dim3 grid((unsigned)((lanes + ROPE_THREADS - 1) / ROPE_THREADS));
    return LAUNCH(stream, rope_kernel<T, ALIGNED, NORM>, grid, dim3(ROPE_THREADS), 0, a);
}

template <typename T>
static int launch_rope_of(void *stream, const rope_launch *args, float direction) {
    const rope_heads<T> a = heads_of<T>(args, direction);
    if (heads_aligned(a, (const T *)nullptr))
        return a.q_norm != nullptr ? launch_heads<T, true, true>(stream, a)
                                   : launch_heads<T, true, false>(stream, a);
    return a.q_norm != nullptr ? launch_heads<T, false, true>(stream, a)
                               : launch_heads<T, false, false>(stream, a);
}

int launch_rope(void *stream, const struct rope_launch *args) {
    if (args->D > HEAD_WIDTH_MAX || args->D % 2 != 0)
        return LAUNCH_INVALID;
    return args->dtype == DTYPE_BF16 ? launch_rope_of<bf16>(stream, args, 1.0f)
                                     : launch_rope_of<float>(stream, args, 1.0f);
}

template <typename T> static int launch_turn_back(void *stream, const rope_backward_launch *args) {
    rope_launch turn = args->forward;
    turn.qkv = turn.out = args->dqkv;
    return launch_rope_of<T>(stream, &turn, -1.0f);
}

template <typename T>
static int launch_gradient_of(void *stream, const rope_backward_launch *args) {
    const rope_gradient<T> g = {heads_of<T>(&args->forward, -1.0f), (T *)args->dqkv,
                                args->dq_norm != nullptr ? args->partial : nullptr,
                                slot_rows(args->forward.T)};
    const rope_heads<T> &a = g.forward;
    const dim3 grid((unsigned)slot_count(a.rows));
    const size_t bytes = (size_t)(GRADIENT_THREADS / a.team * a.D) * sizeof(float);
    return heads_aligned(a, g.dqkv) ? LAUNCH(stream, rope_backward_kernel<T, true>, grid,
                                             dim3(GRADIENT_THREADS), bytes, g)
                                    : LAUNCH(stream, rope_backward_kernel<T, false>, grid,
                                             dim3(GRADIENT_THREADS), bytes, g);
}

int launch_rope_backward(void *stream, const struct rope_backward_launch *args) {
    const struct rope_launch *f = &args->forward;
    const bool wide = f->dtype == DTYPE_F32;
    if (f->D > HEAD_WIDTH_MAX || f->D % 2 != 0)
        return LAUNCH_INVALID;
    if (f->q_norm == nullptr)
        return wide ? launch_turn_back<float>(stream, args) : launch_turn_back<bf16>(stream, args);
    const int error =
        wide ? launch_gradient_of<float>(stream, args) : launch_gradient_of<bf16>(stream, args);
    if (error != 0 || args->dq_norm == nullptr)
        return error;
    return launch_sum_slots(stream, slot_sums{args->partial, args->dq_norm, args->dk_norm,
                                              slot_count(f->T), 2 * f->D, f->D});
}

int64_t rope_slots(int64_t T) {
    return slot_count(T);
}
