/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: `gradus COMMAND [options] [arguments]`. A command is one row, a const struct
 * cli_command; options, `--help` and wrong usage are handled here before the command runs.
 *
 * To add a command: write cmd_NAME.c with `const struct cli_command cmd_NAME`, name it in the
 * SOURCES of CMakeLists.txt, and add its row to the table of cli.c (its declaration is below).
 *
 * A command reports by its status: the sentence is printed once, by cli_main, as
 * `gradus: error: …`. In a job of several processes rank 0 prints
 * (after STATUS_COMM each that is left); so a command that has opened its
 * communicator returns what comm_agree gave it.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "tensor/dtype.h"

struct cli;

struct cli_option {
    const char *name;  /* "model" for --model */
    const char *value; /* what it takes, for the usage line ("DIR"); NULL: it is a switch */
    const char *text;  /* one sentence */
    bool needed;       /* the command is refused without it */
};

enum { CLI_OPTIONS_MAX = 24 };

struct cli_command {
    const char *name;
    const char *arguments; /* of the usage line: "INPUT.cfg [group.name=value ...]" */
    const char *text;      /* one line for the list of commands */
    const char *more;      /* paragraphs for --help, or NULL */
    struct cli_option options[CLI_OPTIONS_MAX]; /* ends with the first NULL name */
    int least, most; /* number of arguments that are not options; most < 0: any number */
    enum status (*run)(struct cli *cli);
};

/* How processes are opened: given by main, the only file that knows which kinds were built. */
struct cli_host {
    enum status (*comm_open)(struct comm *comm, int *argc, char ***argv);
    /* After a failed comm_open: ends the processes that may be waiting for this one. */
    void (*job_abort)(int exit_status);
    const char *version; /* "0.1.0 (git …)" */
};

/* What a command gets. */
struct cli {
    const struct cli_command *command;
    const struct cli_host *host;
    int argc; /* arguments that are no options, in order */
    char **argv;
    const char *values[CLI_OPTIONS_MAX]; /* by option; NULL when not given, "" for a switch */
    int *main_argc;                      /* for MPI_Init */
    char ***main_argv;
    int rank;  /* 0 until cli_comm_open */
    bool said; /* the failure has been printed */
};

/* The value of an option; NULL when it was not given. The option must be one of the command's. */
const char *cli_value(const struct cli *cli, const char *name);

/* Whether a switch or option was given. */
bool cli_given(const struct cli *cli, const char *name);

/* The value as an integer or a real within bounds; *value keeps what it holds when the option was
 * not given. */
enum status cli_integer(const struct cli *cli, const char *name, int64_t least, int64_t most,
                        int64_t *value) MUST_USE;
enum status cli_real(const struct cli *cli, const char *name, double least, double most,
                     double *value) MUST_USE;

/* --precision of commands that have it: fp32, which is usual, or bf16. */
enum status cli_precision(const struct cli *cli, enum dtype *dtype) MUST_USE;

/* Opens the processes of the job; the caller closes *comm. Tells the log which rank this is. Only
 * commands that compute on several ranks call it,
 * so that the others work where MPI cannot start. */
enum status cli_comm_open(struct cli *cli, struct comm *comm) MUST_USE;

/* Closes the processes and returns `status`, the command's. A failure is said before: a launcher
 * ends the other processes as soon as one has left with an error, and rank 0 may be the last. */
enum status cli_comm_close(struct cli *cli, struct comm *comm, enum status status);

/* The whole program: parses, runs, prints the error; returns the exit status of the process. */
int cli_main(int argc, char **argv, const struct cli_host *host);

extern const struct cli_command cmd_train, cmd_eval, cmd_generate, cmd_score, cmd_init, cmd_export,
    cmd_plan, cmd_inspect, cmd_tokenize, cmd_params, cmd_bench, cmd_verify, cmd_grade, cmd_traces,
    cmd_mauve, cmd_sweep;

#endif
