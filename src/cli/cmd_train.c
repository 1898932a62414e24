/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus train: one training run.
 */
#include "cli/cli.h"

#include "base/stop.h"
#include "config/settings.h"
#include "run/job.h"

static enum status run_command(struct cli *cli) {
    struct comm comm;
    struct settings settings;
    TRY(cli_comm_open(cli, &comm));
    stop_watch();
    enum status status = comm_agree(&comm, settings_read(cli->argv[0], cli->argv + 1, cli->argc - 1,
                                                         SETTINGS_FOR_TRAINING, &settings));
    if (status == STATUS_OK) {
        const struct job job = {.fresh = cli_given(cli, "fresh"),
                                .picked = cli_value(cli, "restart")};
        comm_deadline(&comm, (double)settings.parallel.deadline_s);
        status = job_run(&settings, &comm, &job);
    }
    settings_release(&settings);
    return cli_comm_close(cli, &comm, status);
}

const struct cli_command cmd_train = {
    .name = "train",
    .arguments = "INPUT.cfg [group.name=value ...]",
    .text = "train a model: one run, from its input file to HDF5; or go on with it",
    .more =
        "Runs on as many ranks as the launcher starts (mpirun, srun). Files go to run.directory;\n"
        "when the run has finished, run.directory/model is a model that the next run and transformers\n"
        "load. The same command again goes on from the newest good checkpoint in run.directory, to\n"
        "the bit as if the run had never ended, on any number of ranks. Parameters on which numbers\n"
        "depend must be those that it began with (`gradus params` says which may change).\n"
        "SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU or an interrupt end it with a checkpoint\n"
        "(exit status 85); a second interrupt ends it at once. jobs/README tells how launchers differ.",
    .options = {{"fresh", NULL, "start over: remove the files of an earlier run in run.directory",
                 false},
                {"restart", "FILE",
                 "go on from this checkpoint: an earlier one of the run in run.directory, whose "
                 "later files are removed, or one of another run",
                 false}},
    .least = 1,
    .most = -1,
    .run = run_command,
};
