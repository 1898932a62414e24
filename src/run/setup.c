/* SPDX-License-Identifier: Apache-2.0 */
#include "run/run.h"

#include "base/memory.h"
#include "run/placement.h"
#include "run/rows.h"
#include "run/save.h"
#include "run/saving.h"
#include "run/threads.h"

/* The loss that the settings ask for. */
static struct loss_settings loss_of(const struct settings *settings, const struct method *method) {
    return (struct loss_settings){
        .gate = gate_find(settings_word(settings, "objective.gate")),
        .gate_settings = {.clip_low = settings->objective.clip_low,
                          .clip_high = settings->objective.clip_high,
                          .clip_dual = settings->objective.clip_dual},
        .level = (enum ratio_level)settings->objective.level,
        .aggregation = (enum aggregation)settings->objective.aggregation,
        .kl_coef =
            settings->objective.kl_in == SETTING_KL_IN_LOSS ? settings->objective.kl_coef : 0.0,
        .kl_estimator = (enum kl_estimator)settings->objective.kl_estimator,
        .entropy_coef = settings->objective.entropy_coef,
        .max_new_tokens = settings->rollout.max_new_tokens,
        .likelihood = method->likelihood};
}

static struct tau_settings tau_settings_of(const struct settings *settings,
                                           const struct method *method) {
    const struct settings_objective *objective = &settings->objective;
    return (struct tau_settings){
        .control = method_rewards(method) ? (enum tau_control)objective->tau_control : TAU_FIXED,
        .tau_pos = settings->objective.tau_pos,
        .tau_neg = settings->objective.tau_neg,
        .scale_end = objective->tau_scale_end,
        .steps = settings->run.steps,
        .target = objective->eur_target,
        .gain = objective->tau_gain,
        .smoothing = objective->eur_smoothing,
        .scale_least = objective->tau_scale_least,
        .scale_most = objective->tau_scale_most};
}

/* What all ranks have hashed. Collective. */
static enum status share_fingerprint(struct run *run) {
    struct fingerprint *fingerprint = &run->fingerprint;
    TRY(comm_sum_exact(run->comm, fingerprint->words, FINGERPRINT_WORDS * fingerprint->count));
    fingerprint_text(fingerprint, run->weights_sha256);
    return mauve_watch_identify(run);
}

/* Where the discriminator reasons, what it is asked; a plan may do without the texts. */
static enum status open_reasoning(struct run *run) {
    const struct hparams *hparams = &run->lm.hparams;
    if (!run->method->discriminates || run->settings->adversarial.reason_tokens == 0 ||
        run->lm.tokenizer == NULL)
        return STATUS_OK;
    return reasoning_open(&run->reasoning, run->settings, run->lm.tokenizer, hparams->eos,
                          hparams->eos_count);
}

/* All that can be refused before the model is made: settings, texts, data. A plan does without what
 * is absent. */
static enum status open_data(struct run *run, int threads, const struct absent *absent) {
    const struct settings *settings = run->settings;
    int64_t prompt_limit;
    run->method = method_find(settings_word(settings, "run.method"));
    run->rule = update_find(settings_word(settings, "update.rule"));
    ASSERT(run->method != NULL && run->rule != NULL);
    TRY(run->method->check(settings));
    TRY(run_checkpoint_check_best(run));
    run->loss = loss_of(settings, run->method);
    run->tau_settings = tau_settings_of(settings, run->method);
    tau_set(&run->tau_settings, &run->tau, 1, &run->loss.gate_settings);
    TRY(tiles_init(&run->tiles, settings->rollout.prompts_per_step,
                   (int)settings->update.mini_batches, settings->parallel.groups_per_tile,
                   run->comm->size));
    if (run->plans)
        TRY(language_model_plan(&run->lm, settings, threads, absent));
    else
        TRY(language_model_open(&run->lm, settings, threads));
    const struct budget_settings budgets = budget_settings_of(settings);
    if (!run->method->likelihood)
        TRY(language_model_check_budgets(&run->lm, &budgets));
    if (run->method->likelihood && run->lm.tokenizer != NULL)
        TRY(language_model_find_end(&run->lm, settings));
    TRY(language_model_prompt_limit(&run->lm, settings, rows_answer_most(run), &prompt_limit));
    run->max_positions = run->method->likelihood ? run->lm.hparams.max_positions
                                                 : prompt_limit + settings->rollout.max_new_tokens;
    if (!absent_rows(absent))
        TRY(run_evaluation_open(run));
    TRY(mauve_watch_open(run));
    if (run->method->distils && run->lm.tokenizer != NULL)
        TRY(teaching_open(&run->teaching, settings, &run->lm.form));
    TRY(open_reasoning(run));
    if (absent_rows(absent))
        rows_assume(run, prompt_limit);
    else
        TRY(rows_open(run, prompt_limit));
    if (run->method->distils)
        run->max_positions = rows_longer(run->max_positions,
                                         run->longest.teacher + settings->rollout.max_new_tokens);
    return rows_measure_judged(run);
}

enum status run_open(struct run *run, const struct settings *settings, struct comm *comm) {
    int threads;
    *run = (struct run){.settings = settings, .comm = comm, .buffers.microbatch = MICROBATCH_EMPTY};
    enum status status = threads_choose(comm, (int)settings->parallel.threads, &threads);
    if (status == STATUS_OK)
        status = open_data(run, threads, &(struct absent){.weights = false});
    status = comm_agree(comm, status);
    if (status == STATUS_OK)
        status = placement_check(comm, &run->lm.backend,
                                 settings->parallel.reduction == SETTING_REDUCTION_EXACT);
    if (status == STATUS_OK)
        status = run_reserve(run);
    if (status == STATUS_OK)
        status = share_fingerprint(run);
    if (status == STATUS_OK && method_rewards(run->method))
        status = comm_agree(comm, rewards_open(&run->rewards, settings, comm->rank, comm->size));
    if (status != STATUS_OK)
        run_close(run);
    return status;
}

enum status run_plan(struct run *run, const struct settings *settings, struct comm *comm,
                     int threads, const struct absent *absent) {
    *run = (struct run){
        .settings = settings, .comm = comm, .plans = true, .buffers.microbatch = MICROBATCH_EMPTY};
    const enum status status = open_data(run, threads, absent);
    if (status != STATUS_OK)
        run_close(run);
    return status;
}

enum status run_clear_batch(struct run *run) {
    struct step *step = &run->step;
    const int64_t groups = run->settings->rollout.prompts_per_step,
                  answers = run->method->group_size(run->settings);
    rollout_release(&step->rollout);
    judged_release(&step->judged);
    TRY(rollout_init(&step->rollout, groups, answers));
    return run->method->discriminates ? judged_init(&step->judged, run->settings, groups, answers)
                                      : STATUS_OK;
}

void run_close(struct run *run) {
    saving_abandon(run);
    run_output_close(run);
    run_unreserve(run);
    rewards_close(&run->rewards);
    stream_destroy(&run->stream);
    if (run->corpus != NULL)
        corpus_release(run->corpus);
    memory_release(&run->corpus);
    memory_release(&run->position);
    tiles_release(&run->tiles);
    run_evaluation_close(run);
    mauve_watch_close(run);
    teaching_release(&run->teaching);
    reasoning_release(&run->reasoning);
    language_model_close(&run->lm);
}
