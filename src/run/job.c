/* SPDX-License-Identifier: Apache-2.0 */
#include "run/job.h"

#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "run/plan.h"
#include "run/restart.h"
#include "run/run.h"

static enum status train(struct run *run, const struct restart *restart) {
    TRY(restart_load(run, restart));
    TRY(comm_agree(run->comm, run_rehearse(run)));
    TRY(run_output_open(run, restart));
    const enum status status = run_train(run);
    if (status != STATUS_OK && status != STATUS_STOPPED)
        run_output_fail(run, status);
    return status;
}

static enum status open_and_train(const struct settings *settings, struct comm *comm,
                                  const struct job *job) {
    struct restart restart = {.fresh = job->fresh, .picked = job->picked};
    struct run run;
    TRY(restart_choose(settings, comm, &restart));
    TRY(run_open(&run, settings, comm));
    run.stop_after = job->stop_after;
    const enum status status = train(&run, &restart);
    log_live_end();
    run_close(&run);
    return status;
}

static enum status log_plan(const struct settings *settings, int ranks) {
    struct plan plan;
    struct plan_memory *memory = NULL;
    char text[PLAN_SENTENCE_MAX];
    TRY(plan_open(&plan, settings, &(struct plan_options){.ranks = ranks}));
    enum status status = memory_new(&memory, 1, "plan");
    if (status == STATUS_OK)
        status = plan_memory(&plan, settings, ranks, memory);
    if (status == STATUS_OK)
        log_info("plan", "%s", plan_sentence(memory, text));
    memory_release(&memory);
    plan_close(&plan);
    return status;
}

/* Beside the sentence of a run that ran out of memory, which stays: what its plan says. What the run
 * held has been given back by now. */
static void explain_memory(const struct settings *settings, const struct comm *comm) {
    char sentence[STATUS_SENTENCE_MAX];
    if (comm->rank != 0)
        return;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    if (log_plan(settings, comm->size) != STATUS_OK)
        log_info("plan", "none can be made: %s", status_sentence());
    status_set_sentence(sentence);
}

enum status job_run(const struct settings *settings, struct comm *comm, const struct job *job) {
    const enum status status = open_and_train(settings, comm, job);
    if (status == STATUS_MEMORY)
        explain_memory(settings, comm);
    return status;
}
