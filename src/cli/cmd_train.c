/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus train: one training run.
 */
#include "cli/cli.h"

#include "base/log.h"
#include "base/stop.h"
#include "run/run.h"

static enum status train(struct cli *cli, struct comm *comm, const struct settings *settings) {
    struct run run;
    const bool fresh = cli_given(cli, "fresh");
    TRY(run_output_check(settings, comm, fresh));
    TRY(run_open(&run, settings, comm));
    enum status status = run_output_open(&run, fresh);
    if (status == STATUS_OK) {
        status = run_train(&run);
        if (status != STATUS_OK && status != STATUS_STOPPED)
            run_output_fail(&run, status);
    }
    log_live_end();
    run_close(&run);
    return status;
}

static enum status run_command(struct cli *cli) {
    struct comm comm;
    struct settings settings;
    TRY(cli_comm_open(cli, &comm));
    stop_watch();
    enum status status = comm_agree(&comm, settings_read(cli->argv[0], cli->argv + 1, cli->argc - 1,
                                                         SETTINGS_FOR_TRAINING, &settings));
    if (status == STATUS_OK)
        status = train(cli, &comm, &settings);
    settings_release(&settings);
    return cli_comm_close(cli, &comm, status);
}

const struct cli_command cmd_train = {
    .name = "train",
    .arguments = "INPUT.cfg [group.name=value ...]",
    .text = "train a model: one run, from its input file to HDF5",
    .more =
        "Runs on as many ranks as the launcher starts (mpirun, srun). Files go to run.directory;\n"
        "when the run has finished, run.directory/model is a model that the next run and transformers\n"
        "load. SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU or an interrupt end it with a checkpoint\n"
        "(exit status 85); a second interrupt ends it at once. jobs/README tells how launchers differ.",
    .options = {{"fresh", NULL, "start over: remove the files of an earlier run in run.directory",
                 false}},
    .least = 1,
    .most = -1,
    .run = run_command,
};
