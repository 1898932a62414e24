/* SPDX-License-Identifier: Apache-2.0 */
#include "run/plan_evaluation.h"

#include "eval/draw.h"
#include "eval/evaluation.h"
#include "run/language_model.h"
#include "run/rehearsal.h"
#include "run/threads.h"

struct rehearsal {
    const struct settings *settings;
    struct comm comm; /* pretends to be rank 0 of so many */
    struct language_model lm;
    struct evaluation evaluation;
};

static enum status open_rehearsal(struct rehearsal *r, int threads) {
    const struct absent none = {.weights = false};
    TRY(language_model_plan(&r->lm, r->settings, threads, &none));
    TRY(evaluation_open(&r->evaluation, r->settings, &r->lm.form, r->lm.hparams.max_positions));
    const struct budget_settings budgets = evaluation_budgets(&r->evaluation);
    return language_model_check_budgets(&r->lm, &budgets);
}

static enum status load_model(struct rehearsal *r) {
    TRY(language_model_create(&r->lm, r->settings,
                              r->evaluation.longest_prompt + r->settings->eval.max_new_tokens));
    return language_model_load(&r->lm, r->settings, NULL, NULL);
}

static enum status rehearse(struct rehearsal *r, int ranks, struct plan_memory *memory) {
    *memory = (struct plan_memory){.outside = memory_resident_bytes() - memory_totals().bytes +
                                              plan_comm_bytes(ranks)};
    memory_watch();
    TRY(load_model(r));
    plan_note(memory, PLAN_LOADING);
    memory_watch();
    TRY(rehearsal_draw_samples(&r->lm, &r->comm, &r->evaluation));
    plan_note(memory, PLAN_ROLLOUT);
    return STATUS_OK;
}

static void count(const struct rehearsal *r, struct plan_evaluation *plan) {
    const struct evaluation *evaluation = &r->evaluation;
    const struct parameter_set *factors = r->lm.adapter != NULL ? model_trained(r->lm.model) : NULL;
    int64_t drawn;
    plan->sets = evaluation->set_count;
    plan->samples = evaluation_total(evaluation, &drawn);
    plan->problems = plan->samples / evaluation->samples;
    const int64_t at_once = evaluation_in_flight(evaluation, &r->comm),
                  share = evaluation_share(evaluation, &r->comm);
    plan->at_once = at_once < share ? at_once : share;
    plan->prompt = evaluation->longest_prompt;
    plan->answer = r->settings->eval.max_new_tokens;
    plan->parameters = parameters_elements(&r->lm.hparams);
    plan->drawing = plan_drawing_flop(
        &r->lm.hparams,
        &(struct plan_drawing){.prompts = (double)plan->problems,
                               .prompt = (double)plan->prompt,
                               .answers = (double)plan->samples,
                               .answer = (double)plan->answer,
                               .adapter = factors != NULL ? (double)factors->elements : 0});
}

static enum status make(struct rehearsal *r, int ranks, int threads, struct plan_evaluation *plan) {
    TRY(open_rehearsal(r, threads));
    r->comm.size = ranks;
    TRY(rehearse(r, ranks, &plan->memory));
    count(r, plan);
    return STATUS_OK;
}

enum status plan_evaluation(const struct settings *settings, int ranks, int threads,
                            struct plan_evaluation *plan) {
    struct rehearsal *r;
    TRY(memory_new(&r, 1, "plan"));
    *r = (struct rehearsal){.settings = settings};
    *plan = (struct plan_evaluation){.threads = threads};
    comm_self_open(&r->comm);
    enum status status = STATUS_OK;
    if (threads == 0)
        status = threads_choose(&r->comm, (int)settings->parallel.threads, &plan->threads);
    if (status == STATUS_OK)
        status = make(r, ranks, plan->threads, plan);
    evaluation_close(&r->evaluation);
    language_model_close(&r->lm);
    memory_release(&r);
    return status;
}
