/* SPDX-License-Identifier: Apache-2.0
 *
 * The real model behind the narrow interface of an update rule: the gradient of a mini-batch, tile
 * by tile over the ranks; it returns what all ranks agreed on. What moves and is kept is in rule.c.
 *
 * In the adversarial game a mini-batch has two batches, which go through the model one after the
 * other into one gradient: its answers, and what the discriminator reads; and that again where it
 * reasons.
 */
#include "run/run.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "method/groups.h"
#include "optim/schedule.h"
#include "run/rule.h"

/* What microbatches are made of. */
enum batch_kind { BATCH_ANSWERS, BATCH_JUDGED, BATCH_REASONS, BATCH_KINDS };

enum { ALL_MINI_BATCHES = -1 };

/* One call for a gradient: the mini-batch, as all ranks know it, and where its numbers go. */
struct gradient_call {
    int mini_batch;                       /* or all of them as one */
    bool first;                           /* the first pass of this step over the mini-batch */
    enum batch_kind first_kind, end_kind; /* the batches whose gradients are summed: [first, end) */
    int64_t microbatches[BATCH_KINDS];    /* of all ranks */
    int64_t rounds[BATCH_KINDS];          /* microbatches of this rank, or of the one with most */
    struct loss_scope scope;              /* answers and tokens of the mini-batch */
    struct loss_scope judged;             /* sequences that the discriminator reads in it */
    struct backward_pass *sums;           /* borrowed from the step */
    struct loss_sums *groups;             /* of these, where the numbers go */
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
    loss_answer(&run->loss, &call->scope, &args, &call->groups[at->group - call->sums->begin]);
}

/* The batch of a kind; NULL where the method has none. */
static const struct rollout *batch_of(const struct run *run, enum batch_kind kind) {
    if (kind == BATCH_JUDGED)
        return run->method->discriminates ? &run->step.judged.texts : NULL;
    if (kind == BATCH_REASONS)
        return run->settings->adversarial.reason_tokens > 0 && run->method->discriminates
                   ? &run->step.judged.reasons
                   : NULL;
    return &run->step.rollout;
}

static float temperature_of(const struct run *run) {
    return run->method->likelihood ? 1.0f : (float)run->settings->rollout.temperature;
}

/* What a backward over a batch gives goes to run->gradient; `given` pieces have. */
struct giving {
    struct run *run;
    enum batch_kind kind;
    int64_t given;
};

/* All that it gives, in order. */
static int64_t piece_count(const struct giving *giving) {
    return giving->kind == BATCH_JUDGED ? discrimination_piece_count(giving->run)
                                        : model_gradient_piece_count(giving->run->lm.model);
}

static struct gradient_piece piece_at(const struct giving *giving, int64_t i) {
    return giving->kind == BATCH_JUDGED ? discrimination_piece(giving->run, i)
                                        : model_gradient_piece(giving->run->lm.model, i);
}

/* A collective call where additions are; what it takes counts as reduction then. */
static enum status add_piece(struct giving *giving, const struct gradient_piece *piece) {
    struct run *run = giving->run;
    const double start_s = clock_now_s();
    giving->given++;
    const enum status status =
        gradient_add(run->gradient, &(struct exchange_piece){.offset = piece->offset,
                                                             .n = piece->n,
                                                             .values = piece->values,
                                                             .columns = piece->columns,
                                                             .rows = piece->rows,
                                                             .count = piece->count});
    if (gradient_is_shared(run->gradient))
        run->step.clock.exchange_s += clock_now_s() - start_s;
    return status;
}

static enum status give(void *context, const struct gradient_piece *piece) {
    struct giving *giving = context;
    TRY(pulse_beat(&giving->run->pulse));
    return add_piece(giving, piece);
}

/* What is on its way to its owners moves on beside the backward. */
static enum status progress(void *context) {
    struct giving *giving = context;
    return gradient_progress(giving->run->gradient);
}

/* What is on its way has come; what that takes counts as reduction. */
static enum status settle(struct run *run) {
    const double start_s = clock_now_s();
    const enum status status = gradient_settle(run->gradient);
    run->step.clock.exchange_s += clock_now_s() - start_s;
    return status;
}

/* Where additions are collective, a rank without a microbatch, or one that failed in it, attends
 * those of the others with nothing. Returns the first failure, `status` or one of its own. */
static enum status attend(struct giving *giving, enum status status) {
    while (giving->given < piece_count(giving)) {
        const struct gradient_piece piece = piece_at(giving, giving->given);
        const enum status attended = add_piece(giving, &piece);
        status = status == STATUS_OK ? attended : status;
        if (attended == STATUS_COMM)
            return status;
    }
    const enum status settled = settle(giving->run);
    return status == STATUS_OK ? settled : status;
}

/* Forward, loss and backward of the microbatch in the buffers; its gradient goes to
 * run->gradient. */
static enum status microbatch_gradient(struct giving *giving, const struct gradient_call *call) {
    struct run *run = giving->run;
    const bool overlaps = run->gradient->overlaps;
    const struct gradient_sink sink = {
        .add = give, .progress = overlaps ? progress : NULL, .lasts = overlaps, .context = giving};
    struct tile_buffers *buffers = &run->buffers;
    const struct microbatch *microbatch = &buffers->microbatch;
    if (giving->kind != BATCH_ANSWERS) {
        const struct discrimination_call judged = {.first = call->first,
                                                   .scope = call->judged,
                                                   .groups = call->groups,
                                                   .begin = call->sums->begin};
        return giving->kind == BATCH_JUDGED ? discrimination_gradient(run, &judged, &sink)
                                            : reasoning_gradient(run, &judged, &sink);
    }
    if (run->method->distils)
        return taught_gradient(run,
                               &(struct taught_call){.scope = &call->scope,
                                                     .groups = call->groups,
                                                     .begin = call->sums->begin,
                                                     .first = call->first},
                               &sink);
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

/* This rank's place among its microbatches of a mini-batch. */
struct place {
    int64_t tile; /* the one at work; count of tiles: none is left */
    bool inside;  /* its first microbatch has been taken */
};

static bool is_of(const struct tile *tile, int mini_batch) {
    return mini_batch == ALL_MINI_BATCHES || tile->mini_batch == mini_batch;
}

static bool is_own_tile(const struct run *run, const struct gradient_call *call, int64_t t) {
    const struct tile *tile = &run->tiles.tiles[t];
    return is_of(tile, call->mini_batch) && tile->owner == run->comm->rank;
}

/* Packs the next microbatch of this rank; answer_count is 0 when there is none. */
static enum status next_microbatch(struct run *run, const struct gradient_call *call,
                                   enum batch_kind kind, struct place *place) {
    struct microbatch *microbatch = &run->buffers.microbatch;
    microbatch->answer_count = 0;
    for (; place->tile < run->tiles.count; place->tile++, place->inside = false) {
        const struct tile *tile = &run->tiles.tiles[place->tile];
        if (!is_own_tile(run, call, place->tile))
            continue;
        if (!place->inside)
            microbatch_begin(microbatch, tile);
        place->inside = true;
        heartbeat_tile(run->heartbeat, place->tile);
        TRY(microbatch_next(microbatch, batch_of(run, kind), tile,
                            run->settings->parallel.tokens_per_pass));
        if (microbatch->answer_count > 0)
            return STATUS_OK;
    }
    return STATUS_OK;
}

/* The next microbatch, if there is one. Where additions are collective so is this, and what it
 * returns is agreed. */
static enum status round_of_gradient(struct run *run, const struct gradient_call *call,
                                     enum batch_kind kind, struct place *place) {
    struct giving giving = {.run = run, .kind = kind};
    enum status status = pulse_beat(&run->pulse);
    if (status == STATUS_OK)
        status = next_microbatch(run, call, kind, place);
    if (status == STATUS_OK && run->buffers.microbatch.answer_count > 0)
        status = microbatch_gradient(&giving, call);
    if (!gradient_is_shared(run->gradient))
        return status;
    return comm_agree(run->comm, attend(&giving, status));
}

/* What this rank adds to the gradient: its tiles of the mini-batch. */
static enum status own_gradient(struct run *run, const struct gradient_call *call) {
    const struct backward_pass *sums = call->sums;
    memset(call->groups, 0, (size_t)(sums->end - sums->begin) * sizeof *call->groups);
    for (enum batch_kind kind = call->first_kind; kind < call->end_kind; kind++) {
        struct place place = {.tile = 0};
        for (int64_t i = 0; i < call->rounds[kind]; i++)
            TRY(round_of_gradient(run, call, kind, &place));
    }
    return STATUS_OK;
}

static int64_t microbatches_of(const struct run *run, enum batch_kind kind,
                               const struct tile *tile) {
    const struct rollout *batch = batch_of(run, kind);
    return batch == NULL
               ? 0
               : tile_microbatch_count(batch, tile, run->settings->parallel.tokens_per_pass);
}

static int64_t rank_microbatches(const struct run *run, enum batch_kind kind, int mini_batch,
                                 int rank) {
    int64_t count = 0;
    for (int64_t t = 0; t < run->tiles.count; t++) {
        const struct tile *tile = &run->tiles.tiles[t];
        if (is_of(tile, mini_batch) && tile->owner == rank)
            count += microbatches_of(run, kind, tile);
    }
    return count;
}

/* This rank's microbatches of a mini-batch; where ranks keep step, those of the rank with most. */
static int64_t rounds_of(const struct run *run, enum batch_kind kind, int mini_batch) {
    int64_t most = rank_microbatches(run, kind, mini_batch, run->comm->rank);
    for (int r = 0; gradient_is_shared(run->gradient) && r < run->comm->size; r++) {
        const int64_t count = rank_microbatches(run, kind, mini_batch, r);
        most = count > most ? count : most;
    }
    return most;
}

/* The call for a mini-batch, from what all ranks know. */
static struct gradient_call gradient_call_of(struct run *run, int mini_batch,
                                             struct backward_pass *sums) {
    const struct rollout *rollout = &run->step.rollout;
    struct gradient_call call = {.mini_batch = mini_batch, .sums = sums, .groups = sums->groups};
    sums->begin = rollout->group_count;
    sums->end = 0;
    for (int64_t t = 0; t < run->tiles.count; t++) {
        const struct tile *tile = &run->tiles.tiles[t];
        if (!is_of(tile, mini_batch))
            continue;
        sums->begin = tile->begin < sums->begin ? tile->begin : sums->begin;
        sums->end = tile->end;
        for (enum batch_kind kind = BATCH_ANSWERS; kind < BATCH_KINDS; kind++)
            call.microbatches[kind] += microbatches_of(run, kind, tile);
    }
    for (enum batch_kind kind = BATCH_ANSWERS; kind < BATCH_KINDS; kind++)
        call.rounds[kind] = rounds_of(run, kind, mini_batch);
    call.judged = judged_scope(&run->step.judged, sums->begin, sums->end);
    for (int64_t k = sums->begin * rollout->group_size; k < sums->end * rollout->group_size; k++) {
        call.scope.answers++;
        call.scope.tokens += rollout->answers[k].n;
    }
    return call;
}

/* Of a pass of the rule: both losses, or the generator's alone. */
static struct gradient_call rule_call(struct run *run, int mini_batch, int pass) {
    struct gradient_call call = gradient_call_of(run, mini_batch, &run->step.passes[pass]);
    call.first = pass < run->tiles.mini_batches;
    call.end_kind = rule_leaves_discriminator(run->settings) ? BATCH_JUDGED : BATCH_KINDS;
    return call;
}

/* Of the discriminator's own step: all that it reads. */
static struct gradient_call discriminator_call(struct run *run) {
    struct gradient_call call = gradient_call_of(run, ALL_MINI_BATCHES, &run->step.discriminator);
    call.first = true;
    call.first_kind = BATCH_JUDGED;
    call.end_kind = BATCH_KINDS;
    return call;
}

/* Computes this rank's part and adds all parts up, again at a smaller scale where the sums asked
 * for it. Whatever fails on one rank is agreed before the next collective. */
static enum status summed_gradient(struct run *run, const struct gradient_call *call,
                                   enum gradient_outcome *outcome) {
    struct step_clock *clock = &run->step.clock;
    const int64_t step = run->counters.step + 1;
    int64_t addends = 0;
    for (enum batch_kind kind = call->first_kind; kind < call->end_kind; kind++)
        addends += 2 * call->microbatches[kind];
    TRY(comm_agree(run->comm, gradient_begin(run->gradient, addends)));
    for (;; run->step.rescaled++) {
        const double start_s = clock_now_s();
        clock->exchange_s = 0.0;
        heartbeat_phase(run->heartbeat, "gradient", step);
        TRY(comm_agree(run->comm, own_gradient(run, call)));
        const double computed_s = clock_now_s();
        heartbeat_phase(run->heartbeat, "reduction", step);
        TRY(comm_agree(run->comm, gradient_finish(run->gradient, outcome)));
        clock->gradient_s += computed_s - start_s - clock->exchange_s;
        clock->reduce_s += clock_now_s() - computed_s + clock->exchange_s;
        if (*outcome != GRADIENT_REPEAT)
            return STATUS_OK;
    }
}

/* That of both losses of the game, each summed by itself for its norm. */
static enum status parted_gradient(struct run *run, const struct gradient_call *call,
                                   enum gradient_outcome *outcome) {
    struct backward_pass *sums = call->sums;
    struct gradient_call part = *call;
    part.end_kind = BATCH_JUDGED;
    TRY(summed_gradient(run, &part, outcome));
    sums->norm_generator = run->gradient->norm;
    if (*outcome != GRADIENT_READY)
        return STATUS_OK;
    TRY(comm_agree(run->comm, backend_run(&run->lm.backend, copy, .x = run->gradient->values,
                                          .out = run->generator, .n = run->shard->elements)));
    part.first_kind = BATCH_JUDGED;
    part.end_kind = BATCH_KINDS;
    part.groups = sums->judged;
    TRY(summed_gradient(run, &part, outcome));
    sums->norm_discriminator = run->gradient->norm;
    for (int64_t g = 0; g < sums->end - sums->begin; g++)
        loss_sums_add(&sums->groups[g], &sums->judged[g]);
    return *outcome == GRADIENT_READY ? gradient_join(run->gradient, run->generator, outcome)
                                      : STATUS_OK;
}

/* Counts the optimizer steps in a row that have no gradient; too many end the run. The outcome is
 * the same on all ranks. */
static enum status count_skipped(const struct run *run, bool finite, int64_t *in_a_row) {
    *in_a_row = finite ? 0 : *in_a_row + 1;
    if (*in_a_row < run->settings->optimizer.max_skipped)
        return STATUS_OK;
    return FAIL(STATUS_NUMERIC,
                "step %lld: the gradient was not finite in %lld optimizer steps in a row "
                "(optimizer.max_skipped): the loss has outgrown fp32; lower "
                "optimizer.learning_rate, or objective.kl_coef where that is large",
                (long long)run->counters.step + 1, (long long)*in_a_row);
}

static double entropy_of(const struct backward_pass *sums) {
    struct loss_sums total = {.loss = 0.0};
    for (int64_t g = 0; g < sums->end - sums->begin; g++)
        loss_sums_add(&total, &sums->groups[g]);
    return total.entropy / total.tokens;
}

static enum status problem_gradient(void *context, int mini_batch, int pass,
                                    struct update_found *found) {
    struct run *run = context;
    ASSERT(pass < run->step.pass_room);
    run->step.pass_count = pass + 1;
    const struct gradient_call call = rule_call(run, mini_batch, pass);
    enum gradient_outcome outcome;
    TRY(run->generator != NULL ? parted_gradient(run, &call, &outcome)
                               : summed_gradient(run, &call, &outcome));
    found->finite = outcome == GRADIENT_READY;
    found->norm = call.sums->grad_norm = run->gradient->norm;
    TRY(comm_agree(run->comm, count_skipped(run, found->finite, &run->skipped_in_a_row)));
    TRY(groups_share(&run->tiles, run->comm, call.sums->begin, call.sums->end, call.sums->groups,
                     sizeof *call.sums->groups));
    found->entropy = entropy_of(call.sums);
    return STATUS_OK;
}

/* The discriminator's own step, from where the rule's have led. Where its gradient is not finite this
 * step alone is left out. */
static enum status step_discriminator(struct run *run) {
    struct update_report *report = &run->step.report;
    const struct gradient_call call = discriminator_call(run);
    enum gradient_outcome outcome;
    TRY(summed_gradient(run, &call, &outcome));
    const bool finite = outcome == GRADIENT_READY;
    call.sums->grad_norm = call.sums->norm_discriminator = run->gradient->norm;
    TRY(comm_agree(run->comm, count_skipped(run, finite, &run->discriminator_skipped_in_a_row)));
    TRY(groups_share(&run->tiles, run->comm, call.sums->begin, call.sums->end, call.sums->groups,
                     sizeof *call.sums->groups));
    report->backward_passes++;
    if (finite)
        report->optimizer_steps++;
    else
        report->skipped++;
    return finite ? rule_step_discriminator(run) : STATUS_OK;
}

enum status run_rehearse_gradient(struct run *run) {
    for (int m = 0; m < run->tiles.mini_batches; m++) {
        const struct gradient_call call = rule_call(run, m, m);
        TRY(own_gradient(run, &call));
    }
    if (!rule_leaves_discriminator(run->settings))
        return STATUS_OK;
    const struct gradient_call call = discriminator_call(run);
    return own_gradient(run, &call);
}

/* At this step, of a learning rate that is `largest`. */
static double learning_rate_of(const struct run *run, double largest) {
    const struct settings_optimizer *optimizer = &run->settings->optimizer;
    const struct schedule schedule = {.kind = (enum schedule_kind)optimizer->schedule,
                                      .learning_rate = largest,
                                      .warmup_steps = optimizer->warmup_steps,
                                      .steps = run->settings->run.steps};
    return schedule_rate(&schedule, run->counters.step + 1);
}

/* τ of the next step follows the last of this step's passes. */
static void observe_eur(struct run *run) {
    if (run->step.pass_count < 2) /* a rule that rests: all ratios are 1 */
        return;
    const struct backward_pass *last = &run->step.passes[run->step.pass_count - 1];
    tau_observe(&run->tau_settings, &run->tau, loss_eur(last->groups, last->end - last->begin));
}

enum status run_update(struct run *run) {
    const struct update_settings settings = rule_settings(run->settings);
    const struct update_problem problem = {.context = run,
                                           .mini_batches = (int)run->settings->update.mini_batches,
                                           .gradient = problem_gradient,
                                           .step = rule_step,
                                           .keep = rule_keep,
                                           .lerp = rule_lerp,
                                           .dot = rule_dot,
                                           .save = rule_save,
                                           .take_back = rule_take_back,
                                           .step_keeping = rule_step_keeping,
                                           .extrapolate = rule_extrapolate};
    struct update_report *report = &run->step.report;
    tau_set(&run->tau_settings, &run->tau, run->counters.step + 1, &run->loss.gate_settings);
    run->step.learning_rate = learning_rate_of(run, run->settings->optimizer.learning_rate);
    run->step.head_learning_rate =
        learning_rate_of(run, run->settings->adversarial.head_learning_rate);
    TRY(diagnosis_make(run, &settings, &problem));
    TRY(run->rule->run(&settings, &problem, &run->shutoff, report));
    if (rule_leaves_discriminator(run->settings))
        TRY(step_discriminator(run));
    run->counters.backward_passes += report->backward_passes;
    run->counters.optimizer_steps += report->optimizer_steps;
    observe_eur(run);
    return STATUS_OK;
}
