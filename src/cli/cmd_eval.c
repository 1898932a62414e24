/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus eval: benchmarks of one model.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "base/stop.h"
#include "config/settings.h"
#include "run/evaluation_job.h"

static enum status evaluate(struct cli *cli, struct comm *comm, const struct settings *settings) {
    const struct evaluation_job job = {.fresh = cli_given(cli, "fresh"),
                                       .checkpoint = cli_value(cli, "checkpoint")};
    struct strbuf table = STRBUF_EMPTY;
    comm_deadline(comm, (double)settings->parallel.deadline_s);
    const enum status status = evaluation_job_run(settings, comm, &job, &table);
    if (status == STATUS_OK && comm->rank == 0)
        fputs(strbuf_text(&table), stdout);
    strbuf_release(&table);
    return status;
}

static enum status run_command(struct cli *cli) {
    struct comm comm;
    struct settings settings;
    TRY(cli_comm_open(cli, &comm));
    stop_watch();
    enum status status = comm_agree(&comm, settings_read(cli->argv[0], cli->argv + 1, cli->argc - 1,
                                                         SETTINGS_FOR_EVALUATION, &settings));
    if (status == STATUS_OK) {
        status = evaluate(cli, &comm, &settings);
        settings_release(&settings);
    }
    return cli_comm_close(cli, &comm, status);
}

const struct cli_command cmd_eval = {
    .name = "eval",
    .arguments = "INPUT.cfg [group.name=value ...]",
    .text = "benchmarks of a model: pass@1 with its error, pass@k, maj@k",
    .more =
        "Draws eval.samples answers to each problem of eval.sets, judges them, and writes all of them\n"
        "with the figures to run.directory/eval.h5. The model is that of model.path, with the adapter\n"
        "of lora.adapter where one is given, or the one in a checkpoint of the run that INPUT.cfg is\n"
        "of. Runs on as many ranks as the launcher starts; the answers do not depend on their number.\n"
        "pass@1 is the mean over problems of the mean over samples, its error the standard error of\n"
        "the problems' means.\n"
        "A signal ends it as it ends a run (exit status 85). The same command again goes on where it\n"
        "was, also after a kill, and tells the figures again once all is there.",
    .options = {{"checkpoint", "FILE", "evaluate the parameters in this checkpoint", false},
                {"fresh", NULL, "start over: remove an earlier evaluation in run.directory",
                 false}},
    .least = 1,
    .most = -1,
    .run = run_command,
};
