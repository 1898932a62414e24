/* SPDX-License-Identifier: Apache-2.0
 *
 * One token per row by inverse CDF. Without filters the logits are read once, by the head's sums over
 * blocks of HEAD_BLOCK tokens; a warp for each row draws the block by their masses, and the token in
 * it. Behind filters a block of threads has a row: as on the CPU every filter keeps a first part of
 * the tokens ordered by falling logit, and its border is found digit by digit of that order. Masses
 * are added up in integers there, so that it does not matter which thread adds first. The head's sums
 * know the largest logit of every HEAD_BLOCK, so that blocks below what a filter can keep are passed
 * over.
 */
#include "cuda/kernel/sample.h"

#include "backend/logit_order.h"
#include "cuda/kernel/head_merge.cuh"
#include "cuda/kernel/philox.cuh"
#include "cuda/kernel/shared_sums.cuh"

enum { DRAW_THREADS = 128, DRAW_WARPS = DRAW_THREADS / 32, BLOCK_QUADS = HEAD_BLOCK / 128 };

/* A row's numbers for both kernels. */
struct draw_args {
    sample_launch launch;
    float scale;    /* 1 / temperature; of log-probabilities where greedy */
    int64_t blocks; /* of HEAD_BLOCK tokens */
    bool drawn;     /* by filter_kernel */
};

static __device__ __forceinline__ double uniform_of(const sample_launch &a, int64_t b) {
    if (a.uniforms != nullptr)
        return a.uniforms[b];
    const uint32_t *c = a.counters + 4 * b;
    return philox_uniform(*a.seed, RANDOM_SAMPLE, philox_counter{{c[0], c[1], c[2], c[3]}});
}

/* Over the lanes of a warp up to each, in a fixed order. */
static __device__ __forceinline__ double warp_prefix(double x) {
    for (int step = 1; step < 32; step *= 2) {
        const double other = warp_shuffle(x, lane_index() >= step ? lane_index() - step : 0);
        x = lane_index() >= step ? other + x : x;
    }
    return x;
}

static __device__ __forceinline__ double warp_before(double prefix) {
    const double left = warp_shuffle(prefix, lane_index() > 0 ? lane_index() - 1 : 0);
    return lane_index() > 0 ? left : 0.0;
}

static __device__ __forceinline__ int first_bit(uint32_t bits) {
    int i = 0;
    while ((bits >> i & 1u) == 0)
        i++;
    return i;
}

static __device__ __forceinline__ int last_bit(uint32_t bits) {
    int i = 31;
    while ((bits >> i & 1u) == 0)
        i--;
    return i;
}

/* --- a draw without filters, by a warp --- */

/* exp((z − max)/T), 0 from where fp32 has nothing smaller. */
static __device__ __forceinline__ float weight_of(float z, float max, float scale) {
    return expf((z - max) * scale);
}

/* Mass of a block relative to the row's largest logit: none when not even its largest has a
 * weight. */
static __device__ __forceinline__ double block_mass(const head_sums &block, float max,
                                                    float scale) {
    if (weight_of(block.max, max, scale) <= 0.0f)
        return 0.0;
    return exp(((double)block.max - (double)max) * (double)scale) * (double)block.sum;
}

struct chosen_block {
    int64_t index;
    double before; /* mass of the blocks before it */
};

/* The first block whose mass and those before it exceed `wanted`, else the last with any. */
static __device__ __forceinline__ chosen_block choose_block(const head_sums *sums, int64_t count,
                                                            float max, float scale, double wanted) {
    chosen_block last = {0, 0.0};
    double before = 0.0;
    for (int64_t first = 0; first < count; first += 32) {
        const int64_t i = first + lane_index();
        const double mass = i < count ? block_mass(sums[i], max, scale) : 0.0;
        const double prefix = before + warp_prefix(mass);
        const double left = warp_shuffle(prefix, lane_index() > 0 ? lane_index() - 1 : 0);
        const double own = lane_index() > 0 ? left : before;
        const uint32_t some = warp_ballot(mass > 0.0);
        const uint32_t beyond = warp_ballot(mass > 0.0 && prefix > wanted);
        if (some != 0) {
            const int lane = beyond != 0 ? first_bit(beyond) : last_bit(some);
            last = chosen_block{first + lane, warp_shuffle(own, lane)};
        }
        if (beyond != 0)
            break;
        before = warp_shuffle(prefix, 31);
    }
    return last;
}

/* Mass of all blocks, in the order in which choose_block adds them. */
static __device__ __forceinline__ double all_blocks(const head_sums *sums, int64_t count, float max,
                                                    float scale) {
    double all = 0.0;
    for (int64_t first = 0; first < count; first += 32) {
        const int64_t i = first + lane_index();
        const double mass = i < count ? block_mass(sums[i], max, scale) : 0.0;
        all = warp_shuffle(all + warp_prefix(mass), 31);
    }
    return all;
}

/* The token of a block of n: lane l has the elements 32 l … 32 l + 31, in ascending order. Gives its
 * place in the block. */
static __device__ __forceinline__ int choose_token(const float *z, int64_t n, float max,
                                                   float scale, double wanted) {
    const int begin = 32 * lane_index();
    float weights[32];
    double mass = 0.0;
#pragma unroll
    for (int i = 0; i < 32; i++) {
        weights[i] = begin + i < n ? weight_of(z[begin + i], max, scale) : 0.0f;
        mass += (double)weights[i];
    }
    const double prefix = warp_prefix(mass), before = warp_before(prefix);
    const uint32_t some = warp_ballot(mass > 0.0);
    const uint32_t beyond = warp_ballot(mass > 0.0 && prefix > wanted);
    int place = 0;
    double sum = before;
    bool found = false;
#pragma unroll
    for (int i = 0; i < 32; i++) {
        if (!found && weights[i] > 0.0f) {
            place = begin + i;
            sum += (double)weights[i];
            found = sum > wanted;
        }
    }
    if (some == 0)
        return 0;
    return warp_shuffle(place, beyond != 0 ? first_bit(beyond) : last_bit(some));
}

/* The first token of the largest logit. */
static __device__ __forceinline__ int64_t choose_largest(const sample_launch &a, const float *z,
                                                         const head_sums *sums, int64_t count,
                                                         float max) {
    int64_t block = count - 1;
    for (int64_t first = 0; first < count; first += 32) {
        const int64_t i = first + lane_index();
        const uint32_t there = warp_ballot(i < count && sums[i].max == max);
        if (there != 0) {
            block = first + first_bit(there);
            break;
        }
    }
    for (int64_t i = block * HEAD_BLOCK; i < a.V; i += 32) {
        const int64_t own = i + lane_index();
        const uint32_t there = warp_ballot(own < a.V && z[own] == max);
        if (there != 0)
            return i + first_bit(there);
    }
    return a.V - 1;
}

/* The token of a row, −1 when a logit is not finite: then the weighted sum of its block is none. */
static __device__ __forceinline__ int32_t draw_row(const draw_args &args, int64_t b, float max) {
    const sample_launch &a = args.launch;
    const float *z = a.logits + b * a.ld;
    const head_sums *sums = a.sums + b * args.blocks;
    bool finite = max > -INFINITY && max < INFINITY;
    for (int64_t i = lane_index(); i < args.blocks; i += 32)
        finite = finite && fabsf(sums[i].weighted) < INFINITY;
    if (warp_ballot(!finite) != 0)
        return -1;
    if (a.settings.temperature <= 0.0f)
        return (int32_t)choose_largest(a, z, sums, args.blocks, max);
    const double wanted = uniform_of(a, b) * all_blocks(sums, args.blocks, max, args.scale);
    const chosen_block block = choose_block(sums, args.blocks, max, args.scale, wanted);
    const int64_t at = block.index * HEAD_BLOCK,
                  n = a.V - at < HEAD_BLOCK ? a.V - at : (int64_t)HEAD_BLOCK;
    return (int32_t)(at + choose_token(z + at, n, max, args.scale, wanted - block.before));
}

/* A warp for each row: the token unless it is drawn already, then what the head says of it. */
static __global__ void __launch_bounds__(DRAW_THREADS) draw_kernel(draw_args args) {
    const sample_launch &a = args.launch;
    const int64_t b = (int64_t)blockIdx.x * DRAW_WARPS + warp_index();
    if (b >= a.B)
        return;
    const double scale = (double)args.scale;
    const head_state state =
        head_merge(head_state{}, true, a.sums + b * args.blocks, args.blocks, scale);
    const int32_t token = args.drawn ? a.tokens[b] : draw_row(args, b, state.max);
    if (lane_index() != 0)
        return;
    a.tokens[b] = token;
    if (a.logprob == nullptr)
        return;
    const head_result result =
        head_result_of(state, token >= 0 ? a.logits[b * a.ld + token] : NAN, scale);
    a.logprob[b] = result.logprob;
    a.entropy[b] = result.entropy;
}

/* --- a draw behind filters, by a block of threads --- */

enum { ROW_THREADS = 1024, ROW_WARPS = ROW_THREADS / 32, DIGITS = 2 * ROW_THREADS };

/* 64 bits in two words: whoever makes the lower one overflow carries. */
struct wide_sum {
    uint32_t low, high;
};

static __device__ __forceinline__ void add_wide(wide_sum *to, uint64_t x) {
    const uint32_t low = (uint32_t)x, old = add_shared(&to->low, low);
    const uint32_t high = (uint32_t)(x >> 32) + (old + low < old ? 1u : 0u);
    if (high != 0)
        add_shared(&to->high, high);
}

static __device__ __forceinline__ uint64_t value_of(const wide_sum &sum) {
    return (uint64_t)sum.high << 32 | sum.low;
}

static __device__ __forceinline__ void or_shared(uint32_t *to, uint32_t bits) {
#ifdef __CUDACC__
    atomicOr(to, bits);
#else
    *to |= bits;
#endif
}

/* Shared memory of a row. */
enum { LIST_MAX = 2048 };
struct row_space {
    wide_sum *masses;  /* (DIGITS) */
    uint32_t *listed;  /* tokens in the list, perhaps more than it holds */
    double *sums;      /* (ROW_WARPS) */
    int64_t *integers; /* (ROW_WARPS) */
    float *floats;     /* (ROW_WARPS) */
    int32_t *list;     /* (LIST_MAX): ids, in any order */
    uint32_t *seen;    /* (V / 32 rounded up): a bit for each token of the answer */
};

static __device__ __forceinline__ row_space space_of() {
    wide_sum *masses = (wide_sum *)shared_memory();
    uint32_t *listed = (uint32_t *)(masses + DIGITS); /* and a word to keep the place of doubles */
    double *sums = (double *)(listed + 2);
    int64_t *integers = (int64_t *)(sums + ROW_WARPS);
    float *floats = (float *)(integers + ROW_WARPS);
    int32_t *list = (int32_t *)(floats + ROW_WARPS);
    return row_space{masses, listed, sums, integers, floats, list, (uint32_t *)(list + LIST_MAX)};
}

static size_t space_bytes(const sample_launch *a) {
    const size_t seen = a->settings.presence_penalty != 0.0f ? (size_t)(a->V + 31) / 32 : 0;
    return (DIGITS + 1) * sizeof(wide_sum) + ROW_WARPS * (2 * sizeof(double) + sizeof(float)) +
           LIST_MAX * sizeof(int32_t) + seen * sizeof(uint32_t);
}

/* A row and what the filters have left of it: the tokens that stand before or at the border in the
 * order of falling logits, lower ids first where equal, and whose weight is not below `least`. */
struct row {
    const float *z;
    const uint32_t *seen;  /* NULL without penalty */
    const head_sums *sums; /* of each HEAD_BLOCK of z */
    int64_t V;
    float penalty, max, scale, least;
    float cut; /* no logit below it matters to what comes next */
    uint32_t border;
    int64_t last;
    bool aligned; /* z can be read by quads */
};

static __device__ __forceinline__ float logit(const row &r, int64_t i) {
    const float z = r.z[i];
    return r.seen != nullptr && (r.seen[i / 32] >> (i % 32) & 1u) != 0 ? z - r.penalty : z;
}

/* Calls visit(id, logit) for the ids from `begin`, a multiple of 4, to `end`, but for those of blocks
 * that are below the cut: thread number `first` of `threads` takes four at a time. Which thread has an
 * id, and in which order, does not depend on how the row is aligned. A penalty, which may also be
 * negative, makes the blocks' largest logits others: then there is no cut. */
template <typename F>
static __device__ __forceinline__ void each_logit(const row &r, int64_t begin, int64_t end,
                                                  int first, int threads, F visit) {
#pragma unroll 4
    for (int64_t i = begin + 4 * first; i < end; i += 4 * threads) {
        const int64_t left = end - i;
        if (r.seen == nullptr && r.sums[i / HEAD_BLOCK].max < r.cut)
            continue;
        const quad z =
            r.aligned && left >= 4 ? load_quad(r.z + i) : read_quad<false>(r.z + i, left);
        const uint32_t seen = r.seen != nullptr ? r.seen[i / 32] >> (i % 32) : 0;
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (k < left)
                visit(i + k, (seen >> k & 1u) != 0 ? z.v[k] - r.penalty : z.v[k]);
    }
}

static __device__ __forceinline__ bool kept(const row &r, int64_t i, float z) {
    const uint32_t order = logit_order(z);
    return order > r.border || (order == r.border && i <= r.last);
}

/* Mass of a token for the border of a filter: one, or its weight in units of 2^-44. */
static __device__ __forceinline__ uint64_t mass_of(const row &r, bool weighted, float z) {
    return weighted ? (uint64_t)(weight_of(z, r.max, r.scale) * 0x1p44f) : 1;
}

/* Digits of the order, the first by the distance to the largest logit in units of T/16, so that
 * neither a few digits take most of the tokens nor many of them remain; then by the bits. A larger
 * logit has a larger digit. */
enum { LEVELS = 4 };

static __device__ __forceinline__ int digit_of(const row &r, int level, float z) {
    if (level == 0) {
        const float below = (r.max - z) * r.scale * 16.0f;
        return DIGITS - 1 - (below < (float)(DIGITS - 1) ? (int)below : DIGITS - 1);
    }
    const int shift = level == 1 ? 21 : level == 2 ? 10 : 0;
    return (int)(logit_order(z) >> shift & (level == 3 ? 0x3ffu : 0x7ffu));
}

/* What is known of the border at a level: the digits above it. */
struct digits {
    int chosen[LEVELS];
};

static __device__ __forceinline__ bool has_digits(const row &r, const digits &known, int levels,
                                                  float z) {
    bool same = true;
#pragma unroll
    for (int level = 0; level < LEVELS; level++)
        if (level < levels)
            same = same && digit_of(r, level, z) == known.chosen[level];
    return same;
}

/* Masses of the tokens with the known digits, by the digit of the next level; of all tokens, or of
 * those in the list. What is below `least` is not put under its digit; gives the sum of what this
 * thread has left out so. */
static __device__ __forceinline__ uint64_t add_masses(const row &r, const row_space &space,
                                                      bool weighted, const digits &known, int level,
                                                      bool listed, uint64_t least) {
    uint64_t below = 0;
    const auto add = [&](int64_t i, float z) {
        if (!has_digits(r, known, level, z) || !kept(r, i, z))
            return;
        const uint64_t mass = mass_of(r, weighted, z);
        if (mass < least)
            below += mass;
        else if (mass > 0)
            add_wide(&space.masses[digit_of(r, level, z)], mass);
    };
    for (int i = thread_index(); i < DIGITS; i += ROW_THREADS)
        space.masses[i] = wide_sum{0, 0};
    __syncthreads();
    if (listed)
        for (int64_t i = thread_index(); i < (int64_t)*space.listed; i += ROW_THREADS)
            add(space.list[i], logit(r, space.list[i]));
    else
        each_logit(r, 0, r.V, thread_index(), ROW_THREADS, add);
    __syncthreads();
    return below;
}

/* The tokens with the first digit known into the list; false when they are too many. */
static __device__ __forceinline__ bool list_tokens(const row &r, const row_space &space,
                                                   const digits &known) {
    if (thread_index() == 0)
        *space.listed = 0;
    __syncthreads();
    each_logit(r, 0, r.V, thread_index(), ROW_THREADS, [&](int64_t i, float z) {
        if (has_digits(r, known, 1, z) && kept(r, i, z)) {
            const uint32_t place = add_shared(space.listed, 1);
            if (place < LIST_MAX)
                space.list[place] = (int32_t)i;
        }
    });
    __syncthreads();
    return *space.listed <= LIST_MAX;
}

static __device__ __forceinline__ int64_t block_minimum(int64_t x, int64_t *scratch) {
    return -block_maximum(-x, scratch);
}

/* Sum over the threads before this one, in the order of the threads; *all over all. */
template <typename T> static __device__ __forceinline__ T block_before(T x, T *scratch, T *all) {
    T prefix = x;
    for (int step = 1; step < 32; step *= 2) {
        const T other = warp_shuffle(prefix, lane_index() >= step ? lane_index() - step : 0);
        prefix = lane_index() >= step ? other + prefix : prefix;
    }
    const T left = warp_shuffle(prefix, lane_index() > 0 ? lane_index() - 1 : 0);
    __syncthreads();
    if (lane_index() == 31)
        scratch[warp_index()] = prefix;
    __syncthreads();
    T before = 0, sum = 0;
    for (int warp = 0; warp < ROW_WARPS; warp++) {
        before = warp == warp_index() ? sum : before;
        sum += scratch[warp];
    }
    *all = sum;
    return lane_index() > 0 ? before + left : before;
}

struct chosen_digit {
    int digit;
    int64_t above; /* mass before it, with what was above already */
    int64_t all;   /* mass of all digits */
};

/* The digit, from the largest down, at which `above` and the masses passed reach wanted (is_share:
 * that part of all, with what each thread has left `below`); the last one with any mass when none
 * does. Two digits a thread. */
static __device__ __forceinline__ chosen_digit choose_digit(const row_space &space, int64_t above,
                                                            double wanted, bool is_share,
                                                            int64_t below) {
    const int high = DIGITS - 1 - 2 * thread_index(), low = high - 1;
    const int64_t first = (int64_t)value_of(space.masses[high]),
                  second = (int64_t)value_of(space.masses[low]);
    int64_t all;
    const int64_t before = above + block_before(first + second, space.integers, &all);
    all += is_share ? block_sum(below, space.integers) : 0;
    const double goal = is_share ? wanted * (double)all : wanted;
    int64_t reached = DIGITS, last = -1; /* places counted from the largest digit */
    if (second > 0) {
        last = 2 * thread_index() + 1;
        reached = (double)(before + first + second) >= goal ? last : (int64_t)DIGITS;
    }
    if (first > 0) {
        last = last < 0 ? 2 * thread_index() : last;
        reached = (double)(before + first) >= goal ? 2 * thread_index() : reached;
    }
    reached = block_minimum(reached, space.integers);
    last = block_maximum(last, space.integers);
    const int64_t place = reached < DIGITS ? reached : last;
    /* the mass before that place, from the thread that has it */
    const bool own = place / 2 == thread_index();
    const int64_t at_place = own ? before + (place % 2 == 0 ? 0 : first) : 0;
    return chosen_digit{DIGITS - 1 - (int)place, block_sum(at_place, space.integers), all};
}

/* Ids [begin, end) of a warp's part of the vocabulary. */
struct segment_ids {
    int64_t begin, end;
};

static __device__ __forceinline__ segment_ids warp_segment(int64_t V, int warp) {
    const int64_t each = (V + ROW_THREADS - 1) / ROW_THREADS * 32, begin = warp * each;
    return segment_ids{begin < V ? begin : V, begin + each < V ? begin + each : V};
}

/* The id of tie number `rank` (from 0) of the kept tokens with that order, in ascending order. */
static __device__ __forceinline__ int64_t find_tie(const row &r, const row_space &space,
                                                   uint32_t order, int64_t rank) {
    const segment_ids own = warp_segment(r.V, warp_index());
    int64_t count = 0, all, found = r.V;
    each_logit(r, own.begin, own.end, lane_index(), 32,
               [&](int64_t i, float z) { count += logit_order(z) == order && kept(r, i, z); });
    count = warp_sum(count);
    int64_t before = block_before(lane_index() == 0 ? count : 0, space.integers, &all);
    before = warp_shuffle(before, 0);
    if (before <= rank && rank < before + count)
        for (int64_t at = own.begin; at < own.end; at += 32) {
            const int64_t i = at + lane_index();
            const float z = i < own.end ? logit(r, i) : 0.0f;
            uint32_t ties = warp_ballot(i < own.end && logit_order(z) == order && kept(r, i, z));
            for (; ties != 0; ties &= ties - 1, before++)
                if (before == rank)
                    found = at + first_bit(ties);
        }
    return block_minimum(found, space.integers);
}

/* --- what a filter can leave out before it knows its border --- */

/* Below, a token has no mass: 2^-44 = exp(−30.5). */
static __device__ __forceinline__ float lightest(const row &r) {
    return r.max - 31.0f / r.scale;
}

/* Not above any logit with that first digit. */
static __device__ __forceinline__ float lowest_of_digit(const row &r, int digit) {
    return digit == 0 ? -INFINITY : r.max - (float)(DIGITS + 1 - digit) / (16.0f * r.scale);
}

/* Logit number `wanted`, counted from the largest, of the largest of all blocks: so many tokens are
 * not below it. */
static __device__ __forceinline__ float largest_number(const row &r, const row_space &space,
                                                       int64_t wanted) {
    const int64_t count = (r.V + HEAD_BLOCK - 1) / HEAD_BLOCK;
    float number = -INFINITY;
    for (int64_t i = thread_index(); i < count && wanted <= count; i += ROW_THREADS) {
        int64_t above = 0; /* blocks with a larger one, or as large a one further to the left */
        for (int64_t k = 0; k < count; k++)
            above += r.sums[k].max > r.sums[i].max || (r.sums[k].max == r.sums[i].max && k < i);
        number = above == wanted - 1 ? r.sums[i].max : number;
    }
    return block_maximum(number, space.floats);
}

/* All tokens below that mass together have at most half of what a share leaves out, so that its border
 * is above it. With a penalty the sums of the blocks are others'. */
static __device__ __forceinline__ uint64_t least_mass(const row &r, const row_space &space,
                                                      double share) {
    const int64_t count = (r.V + HEAD_BLOCK - 1) / HEAD_BLOCK;
    double all = 0.0;
    for (int64_t i = thread_index(); i < count && r.seen == nullptr && r.border == 0;
         i += ROW_THREADS)
        all += block_mass(r.sums[i], r.max, r.scale);
    all = block_sum(all, space.sums);
    const double left = 1.0 - share;
    return left > 0.0 ? (uint64_t)(0.5 * left * all / (double)r.V * 0x1p44) : 0;
}

/* Keeps the shortest first part of the order whose mass reaches `wanted` tokens, or that share of all
 * weights. */
static __device__ __forceinline__ void keep_first(row &r, const row_space &space, bool weighted,
                                                  double wanted) {
    digits known = {};
    chosen_digit chosen = {0, 0, 0};
    double goal = wanted;
    bool listed = false;
    const uint64_t least = weighted ? least_mass(r, space, wanted) : 0;
    const float cut = r.cut;
    r.cut = fmaxf(cut, weighted ? lightest(r) : largest_number(r, space, (int64_t)wanted));
#pragma unroll
    for (int level = 0; level < LEVELS; level++) {
        const uint64_t below =
            add_masses(r, space, weighted, known, level, listed, level == 0 ? least : 0);
        chosen = choose_digit(space, chosen.above, level == 0 ? wanted : goal,
                              weighted && level == 0, (int64_t)below);
        if (level == 0 && weighted)
            goal = wanted * (double)chosen.all;
        known.chosen[level] = chosen.digit;
        if (level > 0)
            continue;
        r.cut = fmaxf(cut, lowest_of_digit(r, chosen.digit));
        listed = list_tokens(r, space, known);
    }
    const uint32_t order = (uint32_t)known.chosen[1] << 21 | (uint32_t)known.chosen[2] << 10 |
                           (uint32_t)known.chosen[3];
    const int64_t mass = (int64_t)value_of(space.masses[chosen.digit]);
    const float z = bits_to_float(order ^ (order >> 31 != 0 ? 0x80000000u : 0xffffffffu));
    const int64_t each = (int64_t)mass_of(r, weighted, z), ties = each > 0 ? mass / each : 0;
    int64_t taken = 1; /* of the tokens at the border, all equal */
    if (each > 0) {
        const double missing = ceil((goal - (double)chosen.above) / (double)each);
        taken = missing < 1.0 ? 1 : missing < (double)ties ? (int64_t)missing : ties;
    }
    __syncthreads();
    if (taken < ties)
        r.last = find_tie(r, space, order, taken - 1);
    else if (order != r.border)
        r.last = INT64_MAX;
    r.border = order;
    r.cut = fmaxf(cut, z); /* what is below the border is not kept */
}

/* The token of thread `chosen` alone, in all threads. */
struct pick {
    int64_t thread;
    double before;
};

/* The first thread whose mass and those before it exceed `wanted`, else the last with any. */
static __device__ __forceinline__ pick pick_thread(double mass, double before, double wanted,
                                                   const row_space &space) {
    const bool beyond = mass > 0.0 && before + mass > wanted;
    const int64_t first =
        block_minimum(beyond ? (int64_t)thread_index() : (int64_t)ROW_THREADS, space.integers);
    const int64_t last = block_maximum(mass > 0.0 ? (int64_t)thread_index() : -1, space.integers);
    const int64_t thread = first < ROW_THREADS ? first : last;
    const double at = block_sum(thread == thread_index() ? before : 0.0, space.sums);
    return pick{thread, at};
}

static __device__ __forceinline__ float kept_weight(const row &r, int64_t i, float z) {
    const float weight = weight_of(z, r.max, r.scale);
    return kept(r, i, z) && weight >= r.least ? weight : 0.0f;
}

/* A token of those kept: first the part of the vocabulary that a warp has, then the thread's part of
 * that, then the token. */
static __device__ __forceinline__ int64_t draw_kept(const row &r, const row_space &space,
                                                    double uniform) {
    const segment_ids own = warp_segment(r.V, warp_index());
    double mass = 0.0, all, ignored;
    each_logit(r, own.begin, own.end, lane_index(), 32,
               [&](int64_t i, float z) { mass += (double)kept_weight(r, i, z); });
    mass = warp_sum(mass);
    mass = lane_index() == 0 ? mass : 0.0;
    const double before = block_before(mass, space.sums, &all), wanted = uniform * all;
    const pick part = pick_thread(mass, before, wanted, space);
    const segment_ids chosen = warp_segment(r.V, (int)(part.thread / 32));
    const int64_t each = (chosen.end - chosen.begin + ROW_THREADS - 1) / ROW_THREADS;
    const int64_t begin = chosen.begin + thread_index() * each;
    const int64_t end = begin + each < chosen.end ? begin + each : chosen.end;
    mass = 0.0;
    for (int64_t i = begin; i < end; i++)
        mass += (double)kept_weight(r, i, logit(r, i));
    const double left = part.before + block_before(mass, space.sums, &ignored);
    const pick piece = pick_thread(mass, left, wanted, space);
    int64_t token = 0;
    double sum = piece.before;
    if (piece.thread == thread_index())
        for (int64_t i = begin; i < end && sum <= wanted; i++) {
            const float weight = kept_weight(r, i, logit(r, i));
            if (weight > 0.0f) {
                token = i;
                sum += (double)weight;
            }
        }
    return block_maximum(token, space.integers);
}

/* The largest logit, NaN when one is not finite: then the weighted sum of its block is none. */
static __device__ __forceinline__ float largest_of(const row &r, const row_space &space) {
    const int64_t count = (r.V + HEAD_BLOCK - 1) / HEAD_BLOCK;
    float largest = -INFINITY;
    int64_t bad = 0;
    for (int64_t i = thread_index(); i < count; i += ROW_THREADS) {
        bad += !(fabsf(r.sums[i].weighted) < INFINITY && fabsf(r.sums[i].max) < INFINITY);
        largest = greater_of(r.sums[i].max, largest);
    }
    if (r.seen != nullptr) {
        largest = -INFINITY;
        each_logit(r, 0, r.V, thread_index(), ROW_THREADS, [&](int64_t, float z) {
            bad += !(fabsf(z) < INFINITY);
            largest = greater_of(z, largest);
        });
    }
    largest = block_maximum(largest, space.floats);
    return block_sum(bad, space.integers) == 0 ? largest : NAN;
}

static __device__ __forceinline__ int64_t first_largest(const row &r, const row_space &space) {
    int64_t first = r.V;
    for (int64_t i = thread_index(); i < r.V && first == r.V; i += ROW_THREADS)
        if (logit(r, i) == r.max)
            first = i;
    return block_minimum(first, space.integers);
}

static __device__ __forceinline__ void mark_seen(const sample_launch &a, int64_t b,
                                                 const row_space &space) {
    for (int64_t i = thread_index(); i < (a.V + 31) / 32; i += ROW_THREADS)
        space.seen[i] = 0;
    __syncthreads();
    for (int64_t i = thread_index(); i < a.seen_counts[b]; i += ROW_THREADS) {
        const int32_t token = a.seen[a.seen_rows[b] * a.seen_ld + i];
        or_shared(&space.seen[token / 32], 1u << (token % 32));
    }
    __syncthreads();
}

static __global__ void __launch_bounds__(ROW_THREADS) filter_kernel(sample_launch a, float scale) {
    const int64_t b = blockIdx.x, blocks = (a.V + HEAD_BLOCK - 1) / HEAD_BLOCK;
    const row_space space = space_of();
    const sample_settings settings = a.settings;
    const bool penalised = settings.presence_penalty != 0.0f;
    if (penalised)
        mark_seen(a, b, space);
    row r = {a.logits + b * a.ld,
             penalised ? space.seen : nullptr,
             a.sums + b * blocks,
             a.V,
             settings.presence_penalty,
             0.0f,
             scale,
             0.0f,
             -INFINITY,
             0,
             INT64_MAX,
             (uintptr_t)(a.logits + b * a.ld) % 16 == 0};
    r.max = largest_of(r, space);
    int64_t token = -1;
    if (r.max < INFINITY && settings.temperature <= 0.0f) {
        token = first_largest(r, space);
    } else if (r.max < INFINITY) {
        if (settings.top_k > 0 && settings.top_k < a.V)
            keep_first(r, space, false, (double)settings.top_k);
        if (settings.top_p < 1.0f)
            keep_first(r, space, true, (double)settings.top_p);
        if (settings.min_p > 0.0f) { /* the largest weight is exactly 1 */
            r.least = fminf(settings.min_p, 1.0f);
            r.cut = fmaxf(r.cut, r.max + (logf(r.least) - 1e-3f) / r.scale);
        }
        token = draw_kept(r, space, uniform_of(a, b));
    }
    if (thread_index() == 0)
        a.tokens[b] = (int32_t)token;
}

static bool has_filters(const sample_settings &s) {
    return s.presence_penalty != 0.0f ||
           (s.temperature > 0.0f && (s.top_k > 0 || s.top_p < 1.0f || s.min_p > 0.0f));
}

int launch_sample(void *stream, const struct sample_launch *args) {
    const bool filters = has_filters(args->settings);
    const float temperature = args->settings.temperature > 0.0f ? args->settings.temperature : 1.0f;
    const float scale = inverse_temperature(temperature);
    const head_sums_launch sums = {args->logits, args->sums, args->B,
                                   args->V,      args->ld,   temperature};
    int error = 0;
    if (args->V > SAMPLE_VOCABULARY_MAX)
        return LAUNCH_INVALID;
    error = launch_head_sums(stream, &sums);
    if (error == 0 && filters)
        error = LAUNCH(stream, filter_kernel, dim3((unsigned)args->B), dim3(ROW_THREADS),
                       space_bytes(args), *args, scale);
    if (error != 0 || (filters && args->logprob == nullptr))
        return error;
    const draw_args draw = {*args, scale, head_sums_of(args->V), filters};
    return LAUNCH(stream, draw_kernel, blocks_for(args->B, DRAW_WARPS), dim3(DRAW_THREADS), 0,
                  draw);
}
