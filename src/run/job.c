/* SPDX-License-Identifier: Apache-2.0 */
#include "run/job.h"

#include "base/log.h"
#include "run/restart.h"
#include "run/run.h"

static enum status train(struct run *run, const struct restart *restart) {
    TRY(restart_load(run, restart));
    TRY(run_output_open(run, restart));
    const enum status status = run_train(run);
    if (status != STATUS_OK && status != STATUS_STOPPED)
        run_output_fail(run, status);
    return status;
}

enum status job_run(const struct settings *settings, struct comm *comm, const struct job *job) {
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
