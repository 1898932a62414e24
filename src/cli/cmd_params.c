/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus params: the reference of every input parameter.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "cli/params_gates.h"
#include "config/settings.h"

/* The value that an input file gives to one parameter, with what else stands on the command line. */
static enum status print_value(struct cli *cli, struct strbuf *text) {
    struct settings settings;
    if (cli->argc == 0)
        return FAIL(STATUS_USAGE, "params --input needs the name of a parameter");
    TRY(settings_read(cli_value(cli, "input"), cli->argv + 1, cli->argc - 1,
                      SETTINGS_FOR_GENERATION, &settings));
    enum status status = settings_value(&settings, cli->argv[0], text);
    if (status == STATUS_OK)
        status = strbuf_append_text(text, "\n");
    settings_release(&settings);
    return status;
}

static enum status compose(struct cli *cli, struct strbuf *text) {
    char quoted[STATUS_QUOTE_MAX];
    if (cli_given(cli, "gates"))
        return params_gates(cli_value(cli, "input"), cli->argv, cli->argc, text);
    if (cli_value(cli, "input") != NULL)
        return print_value(cli, text);
    if (cli->argc > 1)
        return FAIL(STATUS_USAGE, "params does not take the argument %s",
                    status_quote(quoted, cli->argv[1], SIZE_MAX));
    return settings_help(cli->argc > 0 ? cli->argv[0] : NULL, text);
}

static enum status run(struct cli *cli) {
    const bool reference = cli_given(cli, "reference");
    if (reference && cli_given(cli, "gates"))
        return FAIL(STATUS_USAGE, "params prints --reference or --gates, not both");
    if (reference && cli->argc > 0)
        return FAIL(STATUS_USAGE, "params --reference is about all parameters and takes no name");
    struct strbuf text = STRBUF_EMPTY;
    const enum status status = reference ? settings_reference(&text) : compose(cli, &text);
    if (status == STATUS_OK)
        fputs(strbuf_text(&text), stdout);
    strbuf_release(&text);
    return status;
}

const struct cli_command cmd_params = {
    .name = "params",
    .arguments = "[GROUP[.NAME]] [group.name=value ...]",
    .text = "the reference of every input parameter",
    .more =
        "Without a name it lists all parameters with their defaults; with one it tells what\n"
        "they are, what they take and what they are when not given. With --input it prints the\n"
        "value that a run of that input file has, for scripts. With --gates it prints two lines of\n"
        "JSON for each gate, for a positive and a negative advantage, with tau and bounds of the\n"
        "arguments and of the input file: analysis/gates.py draws them.",
    .options = {{"reference", NULL, "print input/reference.cfg: all of them as an input file",
                 false},
                {"input", "FILE", "print the value of GROUP.NAME in this input file", false},
                {"gates", NULL, "print values and slopes of all gates at ratios from 0 to 2",
                 false}},
    .most = -1,
    .run = run,
};
