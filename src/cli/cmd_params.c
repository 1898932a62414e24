/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus params: the reference of every input parameter.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "config/settings.h"

static enum status run(struct cli *cli) {
    const bool reference = cli_given(cli, "reference");
    if (reference && cli->argc > 0)
        return FAIL(STATUS_USAGE, "params --reference is about all parameters and takes no name");
    struct strbuf text = STRBUF_EMPTY;
    const enum status status = reference
                                   ? settings_reference(&text)
                                   : settings_help(cli->argc > 0 ? cli->argv[0] : NULL, &text);
    if (status == STATUS_OK)
        fputs(strbuf_text(&text), stdout);
    strbuf_release(&text);
    return status;
}

const struct cli_command cmd_params = {
    .name = "params",
    .arguments = "[GROUP[.NAME]]",
    .text = "the reference of every input parameter",
    .more = "Without a name it lists all parameters with their defaults; with one it tells what\n"
            "they are, what they take and what they are when not given.",
    .options = {{"reference", NULL, "print input/reference.cfg: all of them as an input file",
                 false}},
    .most = 1,
    .run = run,
};
