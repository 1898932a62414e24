/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "config/settings.h"

/* In the order of the help text. */
static const struct cli_command *const commands[] = {
    &cmd_train,  &cmd_eval,   &cmd_generate, &cmd_score,    &cmd_init,   &cmd_export,
    &cmd_plan,   &cmd_verify, &cmd_inspect,  &cmd_tokenize, &cmd_params, &cmd_grade,
    &cmd_traces, &cmd_mauve,  &cmd_sweep,    &cmd_bench,
};

/* Longest wait for another rank where no parameter says so. */
#define CLI_DEADLINE_S 1800.0

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

/* --- help --- */

static void print_usage(FILE *file, const struct cli_host *host) {
    fprintf(file, "gradus %s: trains language models by reinforcement learning over MPI\n\n",
            host->version);
    fprintf(file, "usage: gradus COMMAND [arguments]\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(file, "  %-10s %s\n", commands[i]->name, commands[i]->text);
    fprintf(file, "\n`gradus COMMAND --help` tells more; `gradus --version` names the build.\n");
}

/* "--model DIR" */
static const char *option_text(const struct cli_option *option, char out[64]) {
    snprintf(out, 64, "--%s%s%s", option->name, option->value != NULL ? " " : "",
             option->value != NULL ? option->value : "");
    return out;
}

/* One word of the usage line; a full line goes on in the next one. */
static void print_word(const char *before, const char *word, const char *after, int *column) {
    enum { LINE_MAX_COLUMNS = 96, INDENT = 8 };
    const int width = (int)(strlen(before) + strlen(word) + strlen(after)) + 1;
    if (*column + width > LINE_MAX_COLUMNS) {
        printf("\n%*s", INDENT - 1, "");
        *column = INDENT - 1;
    }
    printf(" %s%s%s", before, word, after);
    *column += width;
}

static void print_help(const struct cli_command *command) {
    char text[64];
    int column = printf("usage: gradus %s", command->name);
    for (const struct cli_option *option = command->options; option->name != NULL; option++)
        print_word(option->needed ? "" : "[", option_text(option, text), option->needed ? "" : "]",
                   &column);
    if (command->arguments[0] != '\0')
        print_word("", command->arguments, "", &column);
    printf("\n\n%s\n", command->text);
    if (command->more != NULL)
        printf("\n%s\n", command->more);
    printf("\n");
    for (const struct cli_option *option = command->options; option->name != NULL; option++)
        printf("  %-22s %s\n", option_text(option, text), option->text);
    printf("  %-22s %s\n", "--help", "this text");
}

/* --- options --- */

static int option_find(const struct cli_command *command, const char *name, size_t length) {
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name != NULL; i++)
        if (strlen(command->options[i].name) == length &&
            memcmp(command->options[i].name, name, length) == 0)
            return i;
    return -1;
}

/* Reads the option at argv[*at], with its value, and moves *at behind it. */
static enum status take_option(struct cli *cli, char **argv, int argc, int *at) {
    const char *const given = argv[(*at)++];
    const char *const name = given + (strncmp(given, "--", 2) == 0 ? 2 : 1);
    const size_t length = strcspn(name, "=");
    const int i = option_find(cli->command, name, length);
    char quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
    if (i < 0 || name != given + 2)
        return FAIL(STATUS_USAGE, "%s has no option %s%s; see gradus %s --help", cli->command->name,
                    status_quote(quoted, given, SIZE_MAX),
                    settings_advice(cli->command->name, name, advice), cli->command->name);
    const struct cli_option *const option = &cli->command->options[i];
    if (cli->values[i] != NULL)
        return FAIL(STATUS_USAGE, "--%s is given twice", option->name);
    if (option->value == NULL) {
        cli->values[i] = "";
        return name[length] == '\0' ? STATUS_OK
                                    : FAIL(STATUS_USAGE, "--%s takes no value", option->name);
    }
    if (name[length] == '=')
        cli->values[i] = name + length + 1;
    else if (*at < argc)
        cli->values[i] = argv[(*at)++];
    else
        return FAIL(STATUS_USAGE, "--%s takes a value, --%s %s", option->name, option->name,
                    option->value);
    return STATUS_OK;
}

static enum status check_arguments(const struct cli *cli) {
    const struct cli_command *const command = cli->command;
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name != NULL; i++)
        if (command->options[i].needed && cli->values[i] == NULL)
            return FAIL(STATUS_USAGE, "%s needs --%s %s: %s; see gradus %s --help", command->name,
                        command->options[i].name, command->options[i].value,
                        command->options[i].text, command->name);
    if (cli->argc < command->least)
        return FAIL(STATUS_USAGE, "%s needs more arguments: gradus %s %s; see gradus %s --help",
                    command->name, command->name, command->arguments, command->name);
    char quoted[STATUS_QUOTE_MAX];
    if (command->most >= 0 && cli->argc > command->most)
        return FAIL(STATUS_USAGE, "%s does not take the argument %s; see gradus %s --help",
                    command->name, status_quote(quoted, cli->argv[command->most], SIZE_MAX),
                    command->name);
    return STATUS_OK;
}

/* Sorts the words behind the command into options and arguments; a lone - is an argument, and so is
 * all after --. *help is set, and the rest ignored, when --help is among them. */
static enum status parse(struct cli *cli, int argc, char **argv, bool *help) {
    bool only_arguments = false;
    for (int at = 0; at < argc;) {
        if (!only_arguments && strcmp(argv[at], "--") == 0) {
            only_arguments = true;
            at++;
        } else if (only_arguments || argv[at][0] != '-' || argv[at][1] == '\0') {
            cli->argv[cli->argc++] = argv[at++];
        } else if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            *help = true;
            return STATUS_OK;
        } else {
            TRY(take_option(cli, argv, argc, &at));
        }
    }
    return check_arguments(cli);
}

/* --- what commands ask for --- */

static int known_option(const struct cli *cli, const char *name) {
    const int i = option_find(cli->command, name, strlen(name));
    ASSERT(i >= 0);
    return i;
}

const char *cli_value(const struct cli *cli, const char *name) {
    return cli->values[known_option(cli, name)];
}

bool cli_given(const struct cli *cli, const char *name) {
    return cli_value(cli, name) != NULL;
}

enum status cli_integer(const struct cli *cli, const char *name, int64_t least, int64_t most,
                        int64_t *value) {
    const char *const text = cli_value(cli, name);
    if (text == NULL)
        return STATUS_OK;
    char *end;
    errno = 0;
    const long long given = strtoll(text, &end, 10);
    char quoted[STATUS_QUOTE_MAX];
    if (end == text || *end != '\0' || errno != 0 || given < least || given > most)
        return FAIL(STATUS_USAGE, "--%s %s: it takes an integer from %lld to %lld", name,
                    status_quote(quoted, text, SIZE_MAX), (long long)least, (long long)most);
    *value = given;
    return STATUS_OK;
}

enum status cli_real(const struct cli *cli, const char *name, double least, double most,
                     double *value) {
    const char *const text = cli_value(cli, name);
    if (text == NULL)
        return STATUS_OK;
    char *end;
    const double given = strtod(text, &end);
    char quoted[STATUS_QUOTE_MAX];
    if (end == text || *end != '\0' || !(given >= least && given <= most))
        return FAIL(STATUS_USAGE, "--%s %s: it takes a number from %.9g to %.9g", name,
                    status_quote(quoted, text, SIZE_MAX), least, most);
    *value = given;
    return STATUS_OK;
}

enum status cli_precision(const struct cli *cli, enum dtype *dtype) {
    const char *const text = cli_value(cli, "precision");
    char quoted[STATUS_QUOTE_MAX];
    *dtype = text != NULL && strcmp(text, "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    if (text == NULL || strcmp(text, "bf16") == 0 || strcmp(text, "fp32") == 0)
        return STATUS_OK;
    return FAIL(STATUS_USAGE, "--precision %s: it is fp32 or bf16",
                status_quote(quoted, text, SIZE_MAX));
}

/* Rank 0 speaks for all, unless a rank leaves alone: then it says itself what it knows. */
static void say_failure(struct cli *cli, enum status status, bool alone) {
    const bool speaks = cli->rank == 0 || alone;
    if (status == STATUS_OK || status == STATUS_STOPPED || !speaks || cli->said)
        return;
    log_live_end();
    fprintf(stderr, "gradus: error: %s\n", status_sentence());
    cli->said = true;
}

enum status cli_comm_open(struct cli *cli, struct comm *comm) {
    const enum status status = cli->host->comm_open(comm, cli->main_argc, cli->main_argv);
    if (status != STATUS_OK) {
        say_failure(cli, status, true);
        cli->host->job_abort(status_exit(status));
        return status;
    }
    comm_deadline(comm, CLI_DEADLINE_S);
    cli->rank = comm->rank;
    log_set_rank(comm->rank);
    return STATUS_OK;
}

enum status cli_comm_close(struct cli *cli, struct comm *comm, enum status status) {
    const bool alone = comm_leaves_alone(comm, status);
    say_failure(cli, status, alone);
    if (alone)
        comm_abort(comm, status_exit(status));
    comm_close(comm);
    return status;
}

/* --- the program --- */

static enum status run_command(struct cli *cli, int argc, char **argv) {
    bool help = false;
    TRY(memory_new(&cli->argv, argc + 1, "the arguments"));
    TRY(parse(cli, argc, argv, &help));
    if (!help)
        return cli->command->run(cli);
    print_help(cli->command);
    return STATUS_OK;
}

static enum status find_command(const char *name, const struct cli_command **command) {
    for (int i = 0; i < COMMAND_COUNT && *command == NULL; i++)
        if (strcmp(commands[i]->name, name) == 0)
            *command = commands[i];
    char quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
    if (*command != NULL)
        return STATUS_OK;
    settings_advice("command", name, advice);
    return FAIL(STATUS_USAGE, "there is no command %s%s", status_quote(quoted, name, SIZE_MAX),
                advice[0] != '\0' ? advice : "; gradus --help lists all");
}

static enum status run_words(struct cli *cli, int argc, char **argv) {
    if (argc < 2)
        return FAIL(STATUS_USAGE, "a command is needed, as gradus train INPUT.cfg; gradus --help "
                                  "lists all");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout, cli->host);
        return STATUS_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("gradus %s\n", cli->host->version);
        return STATUS_OK;
    }
    TRY(find_command(argv[1], &cli->command));
    return run_command(cli, argc - 2, argv + 2);
}

int cli_main(int argc, char **argv, const struct cli_host *host) {
    struct cli cli = {.host = host, .main_argc = &argc, .main_argv = &argv};
    enum status status = run_words(&cli, argc, argv);
    if (status == STATUS_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = FAIL(STATUS_IO, "standard output cannot be written: %s", strerror(errno));
    log_live_end();
    say_failure(&cli, status, status == STATUS_COMM);
    memory_release(&cli.argv);
    log_close();
    return status_exit(status);
}
