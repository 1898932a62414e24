/* SPDX-License-Identifier: Apache-2.0
 *
 * The real model behind the narrow interface of an update rule: the gradient of a mini-batch, tile
 * by tile over the ranks, and one optimizer step.
 */
#include "run/run.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "optim/clip.h"
#include "optim/schedule.h"

/* Room for the numbers per target of one pass. */
static enum status reserve_targets(struct run *run, int64_t targets) {
    TRY(memory_grow(&run->logprob, targets, "log-probabilities"));
    TRY(memory_grow(&run->entropy, targets, "entropies"));
    TRY(memory_grow(&run->d_logprob, targets, "loss derivatives"));
    return memory_grow(&run->d_entropy, targets, "loss derivatives");
}

/* The loss of one answer of the pass; in its first pass its entropies are kept, and its
 * log-probabilities become those of π_old where these are not known yet. */
static void answer_loss(struct run *run, const struct loss_scope *scope,
                        const struct pass_answer *at, struct loss_sums *sums) {
    struct rollout_answer *answer = &rollout_group_answers(&run->rollout, at->group)[at->answer];
    const size_t bytes = (size_t)answer->n * sizeof(float);
    if (!run->rollout.old_known)
        memcpy(answer->logprob, run->logprob + at->target, bytes);
    if (run->first_pass)
        memcpy(answer->entropy, run->entropy + at->target, bytes);
    const struct loss_answer args = {
        .n = answer->n,
        .logprob = run->logprob + at->target,
        .logprob_old = answer->logprob,
        .logprob_reference = answer->logprob_reference,
        .entropy = run->entropy + at->target,
        .advantage = answer->advantage,
        .d_logprob = run->d_logprob + at->target,
        .d_entropy = run->loss.entropy_coef != 0.0 ? run->d_entropy + at->target : NULL,
        .ratio = answer->ratio,
        .gate_derivative = answer->gate_derivative};
    loss_answer(&run->loss, scope, &args, sums);
}

static float temperature_of(const struct run *run) {
    return run->method->likelihood ? 1.0f : (float)run->settings->rollout.temperature;
}

/* Forward, loss and backward of one tile, pass by pass; its gradient goes to run->gradient. */
static enum status tile_gradient(struct run *run, const struct tile *tile,
                                 const struct loss_scope *scope, struct pass_sums *sums) {
    const struct gradient_sink sink = {.add = gradient_add, .context = run->gradient};
    for (pass_begin(&run->pass, tile);;) {
        TRY(pass_next(&run->pass, &run->rollout, tile, run->settings->parallel.tokens_per_pass));
        if (run->pass.answer_count == 0)
            return STATUS_OK;
        const struct batch *batch = &run->pass.batch;
        TRY(reserve_targets(run, batch->target_count));
        TRY(model_forward(run->policy.model, batch, temperature_of(run), true, run->logprob,
                          run->entropy));
        for (int64_t i = 0; i < run->pass.answer_count; i++) {
            const struct pass_answer *at = &run->pass.answers[i];
            answer_loss(run, scope, at, &sums->groups[at->group - sums->begin]);
        }
        TRY(model_backward(run->policy.model, batch, temperature_of(run), run->d_logprob,
                           run->loss.entropy_coef != 0.0 ? run->d_entropy : NULL, &sink));
        run->train_positions += batch->T;
    }
}

static enum status own_tiles(struct run *run, const struct loss_scope *scope, int mini_batch,
                             struct pass_sums *sums) {
    memset(sums->groups, 0, (size_t)(sums->end - sums->begin) * sizeof *sums->groups);
    for (int64_t t = 0; t < run->tiles.count; t++) {
        const struct tile *tile = &run->tiles.tiles[t];
        if (tile->mini_batch == mini_batch && tile->owner == run->comm->rank)
            TRY(tile_gradient(run, tile, scope, sums));
    }
    return STATUS_OK;
}

/* What a mini-batch is, from what all ranks know. */
static void mini_batch_extent(const struct run *run, int mini_batch, struct pass_sums *sums,
                              struct loss_scope *scope, int64_t *passes) {
    sums->begin = run->rollout.group_count;
    sums->end = 0;
    *scope = (struct loss_scope){.answers = 0};
    *passes = 0;
    for (int64_t t = 0; t < run->tiles.count; t++) {
        const struct tile *tile = &run->tiles.tiles[t];
        if (tile->mini_batch != mini_batch)
            continue;
        sums->begin = tile->begin < sums->begin ? tile->begin : sums->begin;
        sums->end = tile->end;
        *passes += tile_pass_count(&run->rollout, tile, run->settings->parallel.tokens_per_pass);
    }
    for (int64_t k = sums->begin * run->rollout.group_size; k < sums->end * run->rollout.group_size;
         k++) {
        scope->answers++;
        scope->tokens += run->rollout.answers[k].n;
    }
}

/* Every rank gets the sums of all groups of the mini-batch, in group order. */
static enum status share_sums(struct run *run, struct pass_sums *sums) {
    struct strbuf mine = STRBUF_EMPTY;
    struct loss_sums *all = NULL;
    size_t *sizes = NULL;
    enum status status = STATUS_OK;
    for (int64_t g = sums->begin; status == STATUS_OK && g < sums->end; g++)
        if (tiles_of_group(&run->tiles, g)->owner == run->comm->rank)
            status = strbuf_append(&mine, (const char *)&sums->groups[g - sums->begin],
                                   sizeof *sums->groups);
    status = comm_agree(run->comm, status);
    if (status == STATUS_OK)
        status = comm_all_gather(run->comm, strbuf_text(&mine), mine.length, (void **)&all, &sizes);
    /* Tiles are dealt to the ranks in runs, so rank order is group order. */
    if (status == STATUS_OK)
        memcpy(sums->groups, all, (size_t)(sums->end - sums->begin) * sizeof *sums->groups);
    strbuf_release(&mine);
    memory_release(&all);
    memory_release(&sizes);
    return status;
}

static enum status problem_gradient(void *context, int mini_batch, int pass, bool *finite) {
    struct run *run = context;
    struct pass_sums *sums = &run->passes[pass];
    struct loss_scope scope;
    enum gradient_outcome outcome;
    int64_t passes;
    mini_batch_extent(run, mini_batch, sums, &scope, &passes);
    run->first_pass = pass < run->tiles.mini_batches;
    TRY(gradient_begin(run->gradient, 2 * passes));
    for (;;) {
        const double start_s = clock_now_s();
        TRY(comm_agree(run->comm, own_tiles(run, &scope, mini_batch, sums)));
        const double computed_s = clock_now_s();
        TRY(gradient_finish(run->gradient, run->comm, &outcome));
        run->clock.gradient_s += computed_s - start_s;
        run->clock.reduce_s += clock_now_s() - computed_s;
        if (outcome != GRADIENT_REPEAT)
            break;
        run->rescaled++;
    }
    *finite = outcome == GRADIENT_READY;
    sums->grad_norm = run->gradient->norm;
    run->rollout.old_known = run->rollout.old_known || run->tiles.mini_batches == 1;
    return share_sums(run, sums);
}

static double learning_rate_of(const struct run *run) {
    const struct settings_optimizer *optimizer = &run->settings->optimizer;
    const struct schedule schedule = {.kind = (enum schedule_kind)optimizer->schedule,
                                      .learning_rate = optimizer->learning_rate,
                                      .warmup_steps = optimizer->warmup_steps,
                                      .steps = run->settings->run.steps};
    return schedule_rate(&schedule, run->counters.step + 1);
}

static enum status problem_step(void *context) {
    struct run *run = context;
    const double start_s = clock_now_s();
    TRY(optimizer_step(run->optimizer, run->master, run->gradient->values, run->learning_rate,
                       clip_scale(run->gradient->norm, run->settings->optimizer.max_grad_norm)));
    TRY(model_refresh(run->policy.model, run->master));
    run->clock.optimizer_s += clock_now_s() - start_s;
    return STATUS_OK;
}

enum status run_update(struct run *run) {
    const struct update_settings settings = {.iterations = (int)run->settings->update.iterations};
    const struct update_problem problem = {.context = run,
                                           .mini_batches = (int)run->settings->update.mini_batches,
                                           .gradient = problem_gradient,
                                           .step = problem_step};
    struct update_report report;
    run->learning_rate = learning_rate_of(run);
    TRY(run->rule->run(&settings, &problem, &report));
    run->counters.backward_passes += report.backward_passes;
    run->counters.optimizer_steps += report.optimizer_steps;
    run->skipped = report.skipped;
    return STATUS_OK;
}
