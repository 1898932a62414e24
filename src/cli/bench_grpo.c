/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus bench grpo: a whole step of GRPO without reading or rewarding texts: answers are drawn to
 * their full length, the gradient of a loss over their tokens is summed as a run sums it, AdamW moves
 * the parameters, the model gets them.
 */
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/comm.h"
#include "model/decoder.h"
#include "optim/gradient.h"
#include "optim/optimizer.h"
#include "run/run.h"

struct grpo_case {
    struct backend *backend;
    struct model *model;
    struct comm comm; /* of one rank */
    struct reducer reducer;
    struct vector_layout *layout;
    struct shard *shard;
    struct gradient *gradient;
    struct optimizer *optimizer;
    struct bench_groups groups;
    int64_t group_count;
    float *master; /* (elements) */
};

enum part { PART_ROLLOUT, PART_GRADIENT, PART_OPTIMIZER, PARTS };

/* --- a step --- */

static enum status begin_groups(const struct grpo_case *c, struct decoder *decoder) {
    const int64_t V = model_hparams(c->model)->V;
    struct decoder_answer answers[BENCH_ANSWERS];
    int32_t prompt[BENCH_PROMPT];
    for (uint32_t a = 0; a < BENCH_ANSWERS; a++)
        answers[a] = (struct decoder_answer){.index = a, .budget = BENCH_TOKENS};
    for (int64_t g = 0; g < c->group_count; g++) {
        for (int i = 0; i < BENCH_PROMPT; i++)
            prompt[i] = (int32_t)((i * 104729LL + 7 + g) % V);
        TRY(decoder_begin(decoder, &(struct decoder_prompt){.tokens = prompt,
                                                            .n = BENCH_PROMPT,
                                                            .index = (uint32_t)g,
                                                            .answers = answers,
                                                            .answer_count = BENCH_ANSWERS}));
    }
    return STATUS_OK;
}

/* Beginning an answer draws its first token. */
static enum status draw_all(const struct grpo_case *c, struct decoder *decoder) {
    const int64_t ahead = c->backend->ops->steps_ahead;
    TRY(begin_groups(c, decoder));
    for (int64_t left = BENCH_TOKENS - 1; left > 0; left -= ahead)
        TRY(decoder_advance(decoder, decoder_rows(decoder), left < ahead ? left : ahead));
    return STATUS_OK;
}

static enum status roll_out(struct grpo_case *c) {
    const struct decoder_settings how = {.sampling = {.temperature = 1.0f, .top_p = 1.0f},
                                         .most_rows = c->group_count * BENCH_ANSWERS,
                                         .most_tokens = BENCH_TOKENS,
                                         .most_prompt = BENCH_PROMPT,
                                         .seed = 2};
    struct decoder *decoder = NULL;
    TRY(decoder_create(&decoder, c->model, &how));
    const enum status status = draw_all(c, decoder);
    decoder_destroy(&decoder);
    return status;
}

static enum status sum_gradient(struct grpo_case *c) {
    const struct gradient_sink sink = {.add = bench_give, .context = c->gradient};
    enum gradient_outcome outcome = GRADIENT_REPEAT;
    while (outcome == GRADIENT_REPEAT) {
        TRY(bench_groups_gradient(&c->groups, &sink));
        TRY(gradient_finish(c->gradient, &outcome));
    }
    return outcome == GRADIENT_READY
               ? STATUS_OK
               : FAIL(STATUS_NUMERIC, "bench grpo: the gradient of the random model is not finite");
}

/* Moves by nothing: the same step comes again. */
static enum status move(struct grpo_case *c) {
    TRY(optimizer_step(c->optimizer, c->master, c->gradient->values, 0.0, 1.0));
    return model_refresh(c->model, c->master);
}

static enum status step(struct grpo_case *c, double seconds[PARTS]) {
    static enum status (*const parts[PARTS])(struct grpo_case *) = {roll_out, sum_gradient, move};
    TRY(gradient_begin(c->gradient, 1 << 20));
    for (int p = 0; p < PARTS; p++) {
        TRY(c->backend->ops->synchronize(c->backend));
        const double start_s = clock_now_s();
        TRY(parts[p](c));
        TRY(c->backend->ops->synchronize(c->backend));
        seconds[p] = clock_now_s() - start_s;
    }
    return STATUS_OK;
}

/* --- timing --- */

static double sum_of(const double seconds[PARTS]) {
    return seconds[PART_ROLLOUT] + seconds[PART_GRADIENT] + seconds[PART_OPTIMIZER];
}

/* The fastest step of those that fit, three at least. */
static enum status time_steps(const struct bench *bench, struct grpo_case *c) {
    double best[PARTS] = {1e30, 0.0, 0.0}, total_s = 0.0;
    for (int round = 0; round < 3 || total_s < bench->seconds; round++) {
        double seconds[PARTS];
        TRY(step(c, seconds));
        total_s += sum_of(seconds);
        if (sum_of(seconds) < sum_of(best))
            memcpy(best, seconds, sizeof best);
    }
    const double tokens = (double)(c->group_count * BENCH_ANSWERS * BENCH_TOKENS);
    printf(
        "grpo step of %lld groups %10.1f ms: rollout %.1f %%, gradient %.1f %%, optimizer %.1f %%; "
        "%.1f answer tokens/s\n",
        (long long)c->group_count, 1e3 * sum_of(best), 100.0 * best[PART_ROLLOUT] / sum_of(best),
        100.0 * best[PART_GRADIENT] / sum_of(best), 100.0 * best[PART_OPTIMIZER] / sum_of(best),
        tokens / sum_of(best));
    fflush(stdout);
    return STATUS_OK;
}

static enum status open_case(const struct bench *bench, struct grpo_case *c) {
    const struct optimizer_settings adamw = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    TRY(bench_groups_init(&c->groups, c->model, c->group_count));
    TRY(run_layout_create(&c->layout, c->backend, model_trained(c->model), bench->dtype));
    TRY(backend_new(c->backend, &c->master, c->layout->elements, "bench parameters"));
    TRY(bench_fill(c->backend, c->master, DTYPE_F32, c->layout->elements, 0.07f));
    TRY(model_refresh(c->model, c->master));
    TRY(shard_create(&c->shard, c->layout, 0, 1));
    TRY(gradient_open_reducer(&c->reducer, c->backend, &c->comm));
    TRY(gradient_create(&c->gradient, c->backend, c->shard, &c->reducer, GRADIENT_EXACT));
    return optimizer_create(&c->optimizer, c->backend, c->shard, &adamw);
}

static void close_case(struct grpo_case *c) {
    optimizer_destroy(&c->optimizer);
    gradient_destroy(&c->gradient);
    reducer_close(&c->reducer);
    shard_destroy(&c->shard);
    backend_release(c->backend, &c->master);
    vector_layout_destroy(&c->layout);
    bench_groups_release(&c->groups);
    comm_close(&c->comm);
}

enum status bench_grpo(const struct bench *bench, struct model *model) {
    struct grpo_case c = {.backend = bench->backend,
                          .model = model,
                          .groups = {.batch = BATCH_EMPTY},
                          .group_count = bench->groups};
    comm_self_open(&c.comm);
    enum status status = open_case(bench, &c);
    if (status == STATUS_OK)
        status = time_steps(bench, &c);
    close_case(&c);
    return status;
}
