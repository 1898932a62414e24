/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rule.h"

#include <math.h>

#include "base/clock.h"
#include "base/memory.h"
#include "optim/clip.h"
#include "run/run.h"
#include "run/saving.h"

/* --- settings --- */

static struct shutoff_settings shutoff_settings_of(const struct settings_update *update) {
    return (struct shutoff_settings){
        .window = update->shutoff_window,
        .warmup = update->shutoff_warmup > 0 ? update->shutoff_warmup : update->shutoff_window,
        .threshold = update->shutoff_threshold,
        .patience = update->shutoff_patience,
        .std_floor = update->shutoff_std_floor,
        .two_sided = update->shutoff_sides == SETTING_SHUTOFF_SIDES_TWO,
        .inclusive = update->shutoff_inclusive,
        .rearm = update->shutoff_rearm};
}

struct update_settings rule_settings(const struct settings *settings) {
    const struct settings_update *update = &settings->update;
    const bool transactional = update->optimizer_state == SETTING_OPTIMIZER_STATE_TRANSACTIONAL;
    return (struct update_settings){
        .iterations = (int)update->iterations,
        .transactional = transactional,
        .ahead = {.how = {.steps = (int32_t)update->virtual_steps,
                          .guarded = update->overshoot_guard,
                          .reposition = update->reposition,
                          .ratio_least = update->ratio_limit[0],
                          .ratio_most = update->ratio_limit[1],
                          .scale_least = update->scale_limit[0],
                          .scale_most = update->scale_limit[1]},
                  .directions = update->retention == SETTING_RETENTION_ADAMW,
                  .activity = update->activity,
                  .relative = update->activity_kind == SETTING_ACTIVITY_KIND_RELATIVE,
                  .leaves_state = transactional},
        .shutoff = shutoff_settings_of(update)};
}

bool rule_is_diagnosed(const struct settings *settings) {
    return settings->update.rule == SETTING_RULE_GXPO && settings->update.diagnose_every > 0;
}

bool rule_leaves_discriminator(const struct settings *settings) {
    return settings->run.method == SETTING_METHOD_ADVERSARIAL &&
           settings->adversarial.d_step == SETTING_D_STEP_OWN;
}

/* --- memory --- */

enum status rule_reserve(struct run *run) {
    struct rule_memory *memory = &run->kept;
    const struct update_settings settings = rule_settings(run->settings);
    const int slots = run->rule->slots != NULL ? run->rule->slots(&settings) : 0;
    const bool diagnosed = rule_is_diagnosed(run->settings);
    const bool saves = diagnosed || (run->rule->saves != NULL && run->rule->saves(&settings));
    struct backend *backend = &run->lm.backend;
    const int64_t n = run->shard->elements;
    ASSERT(slots <= RULE_SLOTS);
    for (int i = 0; i < slots; i++)
        TRY(backend_new(backend, &memory->slots[i], n, "update rule"));
    if (diagnosed)
        TRY(backend_new(backend, &memory->slots[UPDATE_SLOT_FORETOLD], n, "update rule"));
    if (!saves)
        return STATUS_OK;
    TRY(backend_new(backend, &memory->saved.exp_avg, n, "update rule"));
    return backend_new(backend, &memory->saved.exp_avg_sq, n, "update rule");
}

enum status rule_rehearse(struct run *run) {
    return run->kept.slots[0] != NULL ? optimizer_extrapolate_rehearse(run->optimizer) : STATUS_OK;
}

void rule_unreserve(struct run *run) {
    struct rule_memory *memory = &run->kept;
    if (run->lm.backend.ops == NULL)
        return;
    for (int i = 0; i < RULE_SLOTS; i++)
        backend_release(&run->lm.backend, &memory->slots[i]);
    backend_release(&run->lm.backend, &memory->saved.exp_avg);
    backend_release(&run->lm.backend, &memory->saved.exp_avg_sq);
}

/* --- steps --- */

/* Whose step it is. */
struct mover {
    struct optimizer *optimizer;
    double learning_rate, head_learning_rate;
};

/* A head that the rule leaves has no gradient from it, and without a rate no decay either. */
static struct mover rule_of(const struct run *run) {
    const bool leaves = rule_leaves_discriminator(run->settings);
    return (struct mover){.optimizer = run->optimizer,
                          .learning_rate = run->step.learning_rate,
                          .head_learning_rate = leaves ? 0.0 : run->step.head_learning_rate};
}

static struct mover discriminator_of(const struct run *run) {
    return (struct mover){.optimizer = run->discriminator_optimizer,
                          .learning_rate = run->step.head_learning_rate,
                          .head_learning_rate = run->step.head_learning_rate};
}

/* The present gradient's step; refused where the moments could not hold it. */
static enum status present_step(struct run *run, const struct mover *mover,
                                struct optimizer_step *step) {
    const double norm = run->gradient->norm;
    *step = (struct optimizer_step){.master = run->master,
                                    .gradient = run->gradient->values,
                                    .learning_rate = mover->learning_rate,
                                    .head_learning_rate = mover->head_learning_rate,
                                    .gradient_scale =
                                        clip_scale(norm, run->settings->optimizer.max_grad_norm)};
    if (norm * step->gradient_scale > OPTIMIZER_NORM_MAX)
        return FAIL(
            STATUS_NUMERIC,
            "step %lld: the gradient's norm is %.3g, too large for the optimizer's moments: "
            "clip it by optimizer.max_grad_norm (%g now; 1 is usual)",
            (long long)run->counters.step + 1, norm, run->settings->optimizer.max_grad_norm);
    return STATUS_OK;
}

/* What changes this rank's elements of the master. */
typedef enum status rule_change(struct run *run, void *context);

/* Whatever changes the parameters: waits for a checkpoint that is being written from them, and brings
 * them to all ranks and into the model. */
static enum status move(struct run *run, rule_change *change, void *context) {
    TRY(saving_release(run));
    const double start_s = clock_now_s();
    heartbeat_phase(run->heartbeat, "optimizer", run->counters.step + 1);
    run->step.changed = true;
    TRY(comm_agree(run->comm, change(run, context)));
    TRY(shard_gather(run->shard, &run->reducer, run->master));
    TRY(comm_agree(run->comm, language_model_refresh(&run->lm, run->master)));
    run->step.clock.optimizer_s += clock_now_s() - start_s;
    return STATUS_OK;
}

struct step_call {
    struct mover mover;
    struct optimizer_kept kept;
};

static enum status take_step(struct run *run, void *context) {
    const struct step_call *call = context;
    struct optimizer_step step;
    TRY(present_step(run, &call->mover, &step));
    run->kept.start_scale = step.gradient_scale;
    return optimizer_step_keeping(call->mover.optimizer, &step, &call->kept);
}

enum status rule_step(void *context) {
    struct step_call call = {.mover = rule_of(context)};
    TRY(move(context, take_step, &call));
    return teacher_follow(context);
}

enum status rule_step_discriminator(struct run *run) {
    struct step_call call = {.mover = discriminator_of(run)};
    return move(run, take_step, &call);
}

static struct optimizer_kept slots_of(const struct run *run) {
    float *const *slots = run->kept.slots;
    return (struct optimizer_kept){.parameters = slots[UPDATE_SLOT_PARAMETERS],
                                   .gradient = slots[UPDATE_SLOT_GRADIENT],
                                   .direction = slots[UPDATE_SLOT_DIRECTION]};
}

enum status rule_step_keeping(void *context) {
    struct step_call call = {.mover = rule_of(context), .kept = slots_of(context)};
    return move(context, take_step, &call);
}

struct extrapolate_call {
    const struct update_extrapolation *how;
    struct extrapolation_sums *found;
};

static enum status extrapolate(struct run *run, void *context) {
    const struct extrapolate_call *call = context;
    const struct mover mover = rule_of(run);
    struct optimizer_extrapolation args = {.start = slots_of(run),
                                           .start_scale = run->kept.start_scale,
                                           .how = call->how->how,
                                           .activity = call->how->activity,
                                           .relative = call->how->relative,
                                           .leaves_state = call->how->leaves_state};
    TRY(comm_agree(run->comm, present_step(run, &mover, &args.step)));
    return optimizer_extrapolate(mover.optimizer, run->comm, &args, call->found);
}

enum status rule_extrapolate(void *context, const struct update_extrapolation *how,
                             struct extrapolation_sums *found) {
    struct extrapolate_call call = {how, found};
    return move(context, extrapolate, &call);
}

/* --- slots --- */

struct vector_call {
    int slot;
    float factor;
    bool keeps; /* master to slot; else lerp */
};

/* At 0 the slot itself, whatever the present is: it may hold no numbers, and −0 must stay. */
static enum status lerp(struct run *run, const float *slot, float *present, int64_t n,
                        float factor) {
    struct backend *backend = &run->lm.backend;
    if (factor == 0)
        return backend_run(backend, copy, .x = slot, .out = present, .n = n);
    return backend_run(backend, lerp, .x = slot, .y = present, .out = present, .n = n,
                       .factor = factor);
}

/* Of the parameters the shard's elements, range by range; the gradient is the shard's. */
static enum status move_ranges(struct run *run, void *context) {
    const struct vector_call *call = context;
    const struct shard *shard = run->shard;
    struct backend *backend = &run->lm.backend;
    for (int64_t i = 0; i < shard_range_count(shard, shard->rank); i++) {
        const struct shard_range range = shard_range_at(shard, shard->rank, i);
        float *const master = run->master + range.begin;
        float *const slot = run->kept.slots[call->slot] + range.place;
        const int64_t n = range.end - range.begin;
        TRY(call->keeps ? backend_run(backend, copy, .x = master, .out = slot, .n = n)
                        : lerp(run, slot, master, n, call->factor));
    }
    return STATUS_OK;
}

enum status rule_keep(void *context, enum update_vector vector, int slot) {
    struct run *run = context;
    struct vector_call call = {.slot = slot, .keeps = true};
    if (vector == UPDATE_PARAMETERS)
        return comm_agree(run->comm, move_ranges(run, &call));
    return comm_agree(run->comm,
                      backend_run(&run->lm.backend, copy, .x = run->gradient->values,
                                  .out = run->kept.slots[slot], .n = run->shard->elements));
}

/* The norm goes with the gradient. */
static enum status lerp_gradient(struct run *run, const struct vector_call *call) {
    float *const values = run->gradient->values;
    TRY(comm_agree(run->comm, lerp(run, run->kept.slots[call->slot], values, run->shard->elements,
                                   call->factor)));
    return comm_agree(run->comm, shard_norm(run->shard, run->comm, values, &run->gradient->norm));
}

enum status rule_lerp(void *context, enum update_vector vector, int slot, double factor) {
    struct vector_call call = {.slot = slot, .factor = (float)factor};
    return vector == UPDATE_PARAMETERS ? move(context, move_ranges, &call)
                                       : lerp_gradient(context, &call);
}

enum status rule_dot(void *context, int slot, double *product) {
    struct run *run = context;
    return comm_agree(run->comm, shard_dot(run->shard, run->comm, run->kept.slots[slot],
                                           run->gradient->values, product));
}

/* --- the optimizer's state --- */

enum status rule_save(void *context) {
    struct run *run = context;
    return comm_agree(run->comm, optimizer_save(run->optimizer, &run->kept.saved));
}

enum status rule_take_back(void *context) {
    struct run *run = context;
    optimizer_take_back(run->optimizer, &run->kept.saved);
    return STATUS_OK;
}
