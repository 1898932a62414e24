/* SPDX-License-Identifier: Apache-2.0
 *
 * The real model behind the narrow interface of an update rule: the gradient of a mini-batch, tile
 * by tile over the ranks, and one optimizer step. Both return what all ranks agreed on.
 */
#include "run/run.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "method/groups.h"
#include "optim/clip.h"
#include "optim/schedule.h"

/* One call for a gradient: the mini-batch, as all ranks know it, and where its numbers go. */
struct gradient_call {
    int mini_batch;
    bool first;                 /* the first pass of this step over the mini-batch */
    int64_t microbatches;       /* of all ranks */
    struct loss_scope scope;    /* answers and tokens of the mini-batch */
    struct backward_pass *sums; /* borrowed from the step */
};

/* Room for the numbers per target of one microbatch. */
static enum status reserve_targets(struct tile_buffers *buffers, int64_t targets) {
    TRY(memory_grow(&buffers->logprob, targets, "log-probabilities"));
    TRY(memory_grow(&buffers->entropy, targets, "entropies"));
    TRY(memory_grow(&buffers->d_logprob, targets, "loss derivatives"));
    return memory_grow(&buffers->d_entropy, targets, "loss derivatives");
}

/* The loss of one answer of the microbatch. In the first pass its entropies are kept, and its
 * log-probabilities become those of π_old where these are not known yet. */
static void answer_loss(struct run *run, const struct gradient_call *call,
                        const struct microbatch_answer *at) {
    struct rollout *rollout = &run->step.rollout;
    const struct tile_buffers *buffers = &run->buffers;
    struct rollout_answer *answer = &rollout_group_answers(rollout, at->group)[at->answer];
    const size_t bytes = (size_t)answer->n * sizeof(float);
    if (call->first && !rollout->logprob_known)
        memcpy(answer->logprob, buffers->logprob + at->target, bytes);
    if (call->first)
        memcpy(answer->entropy, buffers->entropy + at->target, bytes);
    const struct loss_answer args = {
        .n = answer->n,
        .logprob = buffers->logprob + at->target,
        .logprob_old = answer->logprob,
        .logprob_reference = answer->logprob_reference,
        .entropy = buffers->entropy + at->target,
        .advantage = answer->advantage,
        .d_logprob = buffers->d_logprob + at->target,
        .d_entropy = run->loss.entropy_coef != 0.0 ? buffers->d_entropy + at->target : NULL,
        .ratio = answer->ratio,
        .gate_derivative = answer->gate_derivative};
    loss_answer(&run->loss, &call->scope, &args,
                &call->sums->groups[at->group - call->sums->begin]);
}

static float temperature_of(const struct run *run) {
    return run->method->likelihood ? 1.0f : (float)run->settings->rollout.temperature;
}

/* Forward, loss and backward of the microbatch in the buffers; its gradient goes to
 * run->gradient. */
static enum status microbatch_gradient(struct run *run, const struct gradient_call *call) {
    const struct gradient_sink sink = {
        .add = gradient_add, .add_rows = gradient_add_rows, .context = run->gradient};
    struct tile_buffers *buffers = &run->buffers;
    const struct microbatch *microbatch = &buffers->microbatch;
    TRY(reserve_targets(buffers, microbatch->batch.target_count));
    TRY(model_forward(run->lm.model, &microbatch->batch, temperature_of(run), true,
                      buffers->logprob, buffers->entropy));
    for (int64_t i = 0; i < microbatch->answer_count; i++)
        answer_loss(run, call, &microbatch->answers[i]);
    run->step.train_positions += microbatch->batch.T;
    return model_backward(run->lm.model, &microbatch->batch, temperature_of(run),
                          buffers->d_logprob,
                          run->loss.entropy_coef != 0.0 ? buffers->d_entropy : NULL, &sink);
}

static enum status tile_gradient(struct run *run, const struct gradient_call *call,
                                 const struct tile *tile) {
    struct microbatch *microbatch = &run->buffers.microbatch;
    for (microbatch_begin(microbatch, tile);;) {
        TRY(microbatch_next(microbatch, &run->step.rollout, tile,
                            run->settings->parallel.tokens_per_pass));
        if (microbatch->answer_count == 0)
            return STATUS_OK;
        TRY(pulse_beat(&run->pulse));
        TRY(microbatch_gradient(run, call));
    }
}

/* What this rank adds to the gradient: its tiles of the mini-batch. */
static enum status own_gradient(struct run *run, const struct gradient_call *call) {
    struct backward_pass *sums = call->sums;
    memset(sums->groups, 0, (size_t)(sums->end - sums->begin) * sizeof *sums->groups);
    for (int64_t t = 0; t < run->tiles.count; t++) {
        const struct tile *tile = &run->tiles.tiles[t];
        if (tile->mini_batch == call->mini_batch && tile->owner == run->comm->rank)
            TRY(tile_gradient(run, call, tile));
    }
    return STATUS_OK;
}

/* The call for a mini-batch, from what all ranks know. */
static struct gradient_call gradient_call_of(struct run *run, int mini_batch, int pass) {
    const struct rollout *rollout = &run->step.rollout;
    struct backward_pass *sums = &run->step.passes[pass];
    struct gradient_call call = {
        .mini_batch = mini_batch, .first = pass < run->tiles.mini_batches, .sums = sums};
    sums->begin = rollout->group_count;
    sums->end = 0;
    for (int64_t t = 0; t < run->tiles.count; t++) {
        const struct tile *tile = &run->tiles.tiles[t];
        if (tile->mini_batch != mini_batch)
            continue;
        sums->begin = tile->begin < sums->begin ? tile->begin : sums->begin;
        sums->end = tile->end;
        call.microbatches +=
            tile_microbatch_count(rollout, tile, run->settings->parallel.tokens_per_pass);
    }
    for (int64_t k = sums->begin * rollout->group_size; k < sums->end * rollout->group_size; k++) {
        call.scope.answers++;
        call.scope.tokens += rollout->answers[k].n;
    }
    return call;
}

/* Computes this rank's part and adds all parts up, again at a smaller scale where the sums asked
 * for it. Whatever fails on one rank is agreed before the next collective. */
static enum status summed_gradient(struct run *run, const struct gradient_call *call,
                                   enum gradient_outcome *outcome) {
    enum status status = gradient_begin(run->gradient, 2 * call->microbatches);
    for (;; run->step.rescaled++) {
        const double start_s = clock_now_s();
        if (status == STATUS_OK)
            status = own_gradient(run, call);
        TRY(comm_agree(run->comm, status));
        const double computed_s = clock_now_s();
        TRY(comm_agree(run->comm, gradient_finish(run->gradient, run->comm, outcome)));
        run->step.clock.gradient_s += computed_s - start_s;
        run->step.clock.reduce_s += clock_now_s() - computed_s;
        if (*outcome != GRADIENT_REPEAT)
            return STATUS_OK;
    }
}

/* Counts the optimizer steps in a row that have no gradient; too many end the run. The outcome is
 * the same on all ranks. */
static enum status count_skipped(struct run *run, bool finite) {
    run->skipped_in_a_row = finite ? 0 : run->skipped_in_a_row + 1;
    if (run->skipped_in_a_row < run->settings->optimizer.max_skipped)
        return STATUS_OK;
    return FAIL(STATUS_NUMERIC,
                "step %lld: the gradient was not finite in %lld optimizer steps in a row "
                "(optimizer.max_skipped): the loss has outgrown fp32; lower "
                "optimizer.learning_rate, or objective.kl_coef where that is large",
                (long long)run->counters.step + 1, (long long)run->skipped_in_a_row);
}

static enum status problem_gradient(void *context, int mini_batch, int pass, bool *finite) {
    struct run *run = context;
    const struct gradient_call call = gradient_call_of(run, mini_batch, pass);
    enum gradient_outcome outcome;
    TRY(summed_gradient(run, &call, &outcome));
    *finite = outcome == GRADIENT_READY;
    call.sums->grad_norm = run->gradient->norm;
    TRY(comm_agree(run->comm, count_skipped(run, *finite)));
    return groups_share(&run->tiles, run->comm, call.sums->begin, call.sums->end, call.sums->groups,
                        sizeof *call.sums->groups);
}

enum status run_rehearse_gradient(struct run *run) {
    for (int m = 0; m < run->tiles.mini_batches; m++) {
        const struct gradient_call call = gradient_call_of(run, m, m);
        TRY(own_gradient(run, &call));
    }
    return STATUS_OK;
}

static double learning_rate_of(const struct run *run) {
    const struct settings_optimizer *optimizer = &run->settings->optimizer;
    const struct schedule schedule = {.kind = (enum schedule_kind)optimizer->schedule,
                                      .learning_rate = optimizer->learning_rate,
                                      .warmup_steps = optimizer->warmup_steps,
                                      .steps = run->settings->run.steps};
    return schedule_rate(&schedule, run->counters.step + 1);
}

static enum status own_step(struct run *run) {
    run->step.changed = true;
    const double norm = run->gradient->norm;
    const double scale = clip_scale(norm, run->settings->optimizer.max_grad_norm);
    if (norm * scale > OPTIMIZER_NORM_MAX)
        return FAIL(
            STATUS_NUMERIC,
            "step %lld: the gradient's norm is %.3g, too large for the optimizer's moments: "
            "clip it by optimizer.max_grad_norm (%g now; 1 is usual)",
            (long long)run->counters.step + 1, norm, run->settings->optimizer.max_grad_norm);
    TRY(optimizer_step(run->optimizer, run->master, run->gradient->values, run->step.learning_rate,
                       scale));
    return model_refresh(run->lm.model, run->master);
}

static enum status problem_step(void *context) {
    struct run *run = context;
    const double start_s = clock_now_s();
    TRY(comm_agree(run->comm, own_step(run)));
    run->step.clock.optimizer_s += clock_now_s() - start_s;
    return STATUS_OK;
}

enum status run_update(struct run *run) {
    const struct update_settings settings = {.iterations = (int)run->settings->update.iterations};
    const struct update_problem problem = {.context = run,
                                           .mini_batches = (int)run->settings->update.mini_batches,
                                           .gradient = problem_gradient,
                                           .step = problem_step};
    struct update_report report;
    run->step.learning_rate = learning_rate_of(run);
    TRY(run->rule->run(&settings, &problem, &report));
    run->counters.backward_passes += report.backward_passes;
    run->counters.optimizer_steps += report.optimizer_steps;
    run->step.skipped = report.skipped;
    return STATUS_OK;
}
