/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/kernel/append.h"

#include "cuda/kernel/kernel.h"

enum { THREADS = 128 };

static __device__ __forceinline__ bool is_stop(const decode_append_args &a, int32_t token) {
    for (int64_t i = 0; i < a.stop_id_count; i++)
        if (a.stop_ids[i] == token)
            return true;
    return false;
}

/* One row of those that are open, by one thread. */
static __global__ void append_kernel(decode_append_args a) {
    const int64_t b = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (b >= a.B || a.ends[b] != DECODE_OPEN)
        return;
    const int32_t drawn = a.drawn[b], before = a.counts[b], n = before + 1;
    const int64_t at = a.answers[b] * a.most + before, place = before - a.forced_begins[b];
    const bool forced = a.forced_begins[b] >= 0 && place >= 0 && place < a.forced_count;
    if (drawn < 0 || !isfinite(a.logprob[b]) || !isfinite(a.entropy[b])) {
        a.ends[b] = DECODE_NOT_FINITE;
        return;
    }
    const int32_t token = forced ? a.forced[place] : drawn;
    a.answer_tokens[at] = token;
    a.answer_logprobs[at] = forced ? NAN : a.logprob[b];
    a.answer_entropies[at] = forced ? NAN : a.entropy[b];
    a.counts[b] = n;
    const int32_t end = !forced && is_stop(a, token) ? DECODE_STOP
                        : n >= a.budgets[b]          ? DECODE_FULL
                                                     : DECODE_OPEN;
    a.ends[b] = end;
    a.slots[b] = -1;
    if (end == DECODE_STOP)
        return;
    a.tokens[b] = token;
    a.positions[b] = a.prompt_length[b] + n - 1;
    a.counters[4 * b + 3] = (uint32_t)n;
    if (end == DECODE_FULL)
        return;
    a.pages[b] = a.page_numbers[a.own_begin[b] + (n - 1) / CACHE_PAGE];
    a.slots[b] = (n - 1) % CACHE_PAGE;
}

int launch_append(void *stream, const struct append_launch *args) {
    const unsigned blocks = (unsigned)((args->append.B + THREADS - 1) / THREADS);
    return LAUNCH(stream, append_kernel, blocks, THREADS, 0, args->append);
}
