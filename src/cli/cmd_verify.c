/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus verify: the promises of exactness, tried with the user's input, machine and ranks.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/stop.h"
#include "config/settings.h"
#include "run/directory.h"
#include "run/verify.h"

/* "DIR.verify" beside run.directory. */
static enum status verify_directory(struct cli *cli, char out[DIRECTORY_PATH_BYTES]) {
    struct settings settings;
    TRY(settings_read(cli->argv[0], cli->argv + 1, cli->argc - 1, SETTINGS_FOR_TRAINING,
                      &settings));
    size_t length = strlen(settings.run.directory);
    while (length > 1 && settings.run.directory[length - 1] == '/')
        length--;
    const int written =
        snprintf(out, DIRECTORY_PATH_BYTES, "%.*s.verify", (int)length, settings.run.directory);
    settings_release(&settings);
    return written < DIRECTORY_PATH_BYTES ? STATUS_OK
                                          : FAIL(STATUS_INPUT,
                                                 "run.directory is longer than %d "
                                                 "characters",
                                                 DIRECTORY_PATH_BYTES);
}

static void print_report(const struct verify_report *report) {
    static const char *const verdicts[] = {
        [VERIFY_HOLDS] = "holds", [VERIFY_FAILS] = "FAILS", [VERIFY_NOT_TRIED] = "not tried"};
    for (int i = 0; i < report->count; i++) {
        const struct verify_claim *claim = &report->claims[i];
        printf("%-38s  %-9s  %s\n", claim->text, verdicts[claim->verdict], claim->detail);
    }
}

/* The first claim that does not hold, as the sentence of the command. */
static enum status judge(const struct verify_report *report) {
    for (int i = 0; i < report->count; i++)
        if (report->claims[i].verdict == VERIFY_FAILS)
            return FAIL(STATUS_DEFECT, "on this machine it does not hold that %s: %s",
                        report->claims[i].text, report->claims[i].detail);
    return STATUS_OK;
}

static enum status verify(struct cli *cli, struct comm *comm) {
    char directory[DIRECTORY_PATH_BYTES];
    struct verify_request request = {.input = cli->argv[0],
                                     .words = cli->argv + 1,
                                     .word_count = cli->argc - 1,
                                     .steps = 2,
                                     .directory = directory};
    struct verify_report report;
    enum status status = cli_integer(cli, "steps", 2, 1000, &request.steps);
    if (status == STATUS_OK)
        status = verify_directory(cli, directory);
    TRY(comm_agree(comm, status));
    TRY(verify_run(comm, &request, &report));
    if (comm->rank == 0)
        print_report(&report);
    return comm_agree(comm, judge(&report));
}

static enum status run_command(struct cli *cli) {
    struct comm comm;
    TRY(cli_comm_open(cli, &comm));
    stop_watch();
    return cli_comm_close(cli, &comm, verify(cli, &comm));
}

const struct cli_command cmd_verify = {
    .name = "verify",
    .arguments = "INPUT.cfg [group.name=value ...]",
    .text = "prove on this machine: two runs equal, restart equal, rank counts equal",
    .more =
        "Makes a few steps of the run several times, on the ranks that the launcher started: twice\n"
        "the same, stopped and continued, with another number of threads, on each half of the\n"
        "ranks; and compares parameters, optimizer state and counters bit for bit, and the\n"
        "sampler's log-probabilities with the trainer's. Runs go to run.directory with .verify\n"
        "behind its name, and are removed where they are equal. Ends with 70 when a claim fails.",
    .options = {{"steps", "N", "steps of each run (2)", false}},
    .least = 1,
    .most = -1,
    .run = run_command,
};
