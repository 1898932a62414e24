/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run.h"

#include "base/memory.h"
#include "run/rows.h"
#include "run/rule.h"

enum status run_layout_create(struct vector_layout **layout, struct backend *backend,
                              const struct parameter_set *set, enum dtype matrices) {
    struct vector_part *parts;
    TRY(memory_new(&parts, set->count, "parameter parts"));
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        const bool head = discriminator_names(p->name);
        parts[i] = (struct vector_part){.offset = p->offset,
                                        .elements = p->rows * p->columns,
                                        .decay = p->matrix,
                                        .working = p->matrix && !head ? matrices : DTYPE_F32,
                                        .head = head};
    }
    const enum status status = vector_layout_create(layout, backend, parts, set->count);
    memory_release(&parts);
    return status;
}

/* A plan takes the largest shard, whoever has it. */
static enum status open_shard(struct run *run) {
    const bool sharded = run->settings->parallel.shard;
    const int size = sharded ? run->comm->size : 1;
    TRY(shard_create(&run->shard, run->layout, sharded ? run->comm->rank : 0, size));
    const int fullest = shard_fullest_rank(run->shard);
    if (!run->plans || fullest == run->shard->rank)
        return STATUS_OK;
    shard_destroy(&run->shard);
    return shard_create(&run->shard, run->layout, fullest, size);
}

static enum status open_layout(struct run *run) {
    const enum dtype matrices =
        run->lm.adapter != NULL ? DTYPE_F32 : language_model_dtype(run->settings);
    TRY(run_layout_create(&run->layout, &run->lm.backend, language_model_trained(&run->lm),
                          matrices));
    TRY(open_shard(run));
    return shard_create(&run->deal, run->layout, run->comm->rank, run->comm->size);
}

/* The policy without its adapter, or as it is at the start: a frozen copy of the weights. Only one
 * of the two computes at a time, so they share a workspace. */
static enum status open_reference(struct run *run, const struct model_settings *how) {
    struct weights *weights = run->lm.weights;
    struct model_settings shared = *how;
    shared.shares = run->lm.model;
    if (run->lm.adapter == NULL) {
        TRY(weights_create(&run->reference_weights, &run->lm.backend, &run->lm.hparams,
                           language_model_dtype(run->settings)));
        weights = run->reference_weights;
        TRY(language_model_load_weights(&run->lm, run->settings, weights, NULL, NULL));
    }
    return model_create(&run->reference, weights, NULL, &shared);
}

/* Of the base model's tensors each rank hashes a share. */
static enum status load_model(struct run *run) {
    struct fingerprint *fingerprint = &run->fingerprint;
    const int64_t count = weights_parameters(run->lm.weights)->count;
    if (!run->plans)
        TRY(fingerprint_init(fingerprint, run->comm->rank, run->comm->size, count));
    return language_model_load(&run->lm, run->settings, run->master,
                               run->plans ? NULL : fingerprint);
}

static enum status open_model(struct run *run) {
    const struct settings *settings = run->settings;
    const struct model_settings how = {.recompute = settings->model.recompute,
                                       .max_positions = run->max_positions};
    TRY(language_model_create(&run->lm, settings, how.max_positions));
    if (run->method->discriminates)
        TRY(language_model_add_head(&run->lm, settings));
    TRY(open_layout(run));
    TRY(backend_new(&run->lm.backend, &run->master, run->layout->elements, "parameters"));
    TRY(load_model(run));
    if (settings->objective.kl_coef != 0.0)
        TRY(open_reference(run, &how));
    TRY(teacher_open(run, &how));
    TRY(mauve_watch_reserve(run));
    const struct optimizer_settings adamw = {.beta1 = settings->optimizer.beta1,
                                             .beta2 = settings->optimizer.beta2,
                                             .epsilon = settings->optimizer.epsilon,
                                             .weight_decay = settings->optimizer.weight_decay};
    TRY(optimizer_create(&run->optimizer, &run->lm.backend, run->shard, &adamw));
    if (rule_leaves_discriminator(settings))
        TRY(optimizer_create(&run->discriminator_optimizer, &run->lm.backend, run->shard, &adamw));
    TRY(rule_reserve(run));
    return diagnosis_reserve(run);
}

/* A device's memory is taken before the first step, for the longest microbatch there may be: taking
 * more would wait for the device, and a run that does not fit should end here and not after hours. The
 * host's comes as it is needed. */
static enum status reserve_passes(struct run *run) {
    const int64_t longest = rows_longer(run->longest.both, rows_judged_most(run)),
                  T = rows_longer(longest, run->settings->parallel.tokens_per_pass);
    if (run->lm.backend.ops->host_memory)
        return STATUS_OK;
    if (run->method->distils)
        return taught_reserve(run, T, rows_longer(T, run->longest.teacher + run->longest.answer),
                              T);
    return model_reserve(run->lm.model, T, T, run->gradient->overlaps);
}

/* Whether both gradients of the game are summed apart before they are added. */
static bool parts_gradient(const struct run *run) {
    return run->method->discriminates && run->settings->adversarial.grad_norms &&
           !rule_leaves_discriminator(run->settings);
}

static enum status open_gradient(struct run *run) {
    const struct settings_parallel *parallel = &run->settings->parallel;
    TRY(gradient_create(&run->gradient, &run->lm.backend, run->shard, &run->reducer,
                        parallel->reduction == SETTING_REDUCTION_EXACT ? GRADIENT_EXACT
                                                                       : GRADIENT_FAST));
    run->gradient->overlaps = parallel->overlap && gradient_is_shared(run->gradient);
    if (parts_gradient(run))
        TRY(backend_new(&run->lm.backend, &run->generator, run->shard->elements,
                        "gradient of the generator"));
    return reserve_passes(run);
}

static enum status open_pass(const struct run *run, struct backward_pass *pass) {
    const int64_t groups = run->settings->rollout.prompts_per_step;
    TRY(memory_new(&pass->groups, groups, "sums of groups"));
    return parts_gradient(run) ? memory_new(&pass->judged, groups, "sums of groups") : STATUS_OK;
}

static void close_pass(struct backward_pass *pass) {
    memory_release(&pass->groups);
    memory_release(&pass->judged);
}

static enum status open_passes(struct run *run) {
    const struct update_settings update = rule_settings(run->settings);
    const int mini_batches = (int)run->settings->update.mini_batches;
    run->step.pass_room = run->rule->passes_most(&update, mini_batches);
    TRY(memory_new(&run->step.passes, run->step.pass_room, "backward passes"));
    for (int p = 0; p < run->step.pass_room; p++)
        TRY(open_pass(run, &run->step.passes[p]));
    return rule_leaves_discriminator(run->settings) ? open_pass(run, &run->step.discriminator)
                                                    : STATUS_OK;
}

/* To open the reducer is a meeting of all ranks. */
enum status run_reserve(struct run *run) {
    enum status status = open_passes(run);
    if (status == STATUS_OK)
        status = open_model(run);
    TRY(comm_agree(run->comm, status));
    TRY(gradient_open_reducer(&run->reducer, &run->lm.backend, run->comm));
    return comm_agree(run->comm, open_gradient(run));
}

void run_unreserve(struct run *run) {
    rollout_release(&run->step.rollout);
    judged_release(&run->step.judged);
    for (int p = 0; run->step.passes != NULL && p < run->step.pass_room; p++)
        close_pass(&run->step.passes[p]);
    close_pass(&run->step.discriminator);
    memory_release(&run->step.passes);
    memory_release(&run->buffers.logprob);
    memory_release(&run->buffers.entropy);
    memory_release(&run->buffers.d_logprob);
    memory_release(&run->buffers.d_entropy);
    taught_release(&run->buffers.taught);
    discrimination_release(&run->buffers.discrimination);
    microbatch_release(&run->buffers.microbatch);
    gradient_destroy(&run->gradient);
    reducer_close(&run->reducer);
    if (run->lm.backend.ops != NULL)
        backend_release(&run->lm.backend, &run->generator);
    rule_unreserve(run);
    diagnosis_unreserve(run);
    optimizer_destroy(&run->optimizer);
    optimizer_destroy(&run->discriminator_optimizer);
    mauve_watch_unreserve(run);
    teacher_close(run);
    model_destroy(&run->reference);
    weights_destroy(&run->reference_weights);
    fingerprint_release(&run->fingerprint);
    language_model_remove(&run->lm);
    shard_destroy(&run->shard);
    shard_destroy(&run->deal);
    vector_layout_destroy(&run->layout);
    if (run->master != NULL)
        backend_release(&run->lm.backend, &run->master);
}
