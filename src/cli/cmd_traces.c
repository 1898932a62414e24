/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus traces: from the answers of runs to rows that sft learns from.
 */
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/traces.h"
#include "file/atomic.h"

static enum status choose_end(struct cli *cli, bool *reference) {
    const char *const word = cli_value(cli, "completion");
    char quoted[STATUS_QUOTE_MAX];
    *reference = word != NULL && strcmp(word, "reference") == 0;
    if (word == NULL || *reference || strcmp(word, "own") == 0)
        return STATUS_OK;
    return FAIL(STATUS_USAGE, "--completion %s: it is own or reference",
                status_quote(quoted, word, SIZE_MAX));
}

static enum status write_traces(struct cli *cli, struct traces *traces) {
    for (int i = 0; i < cli->argc; i++)
        TRY(traces_add_run(traces, cli->argv[i]));
    TRY(atomic_write_file(cli_value(cli, "output"), strbuf_text(&traces->output),
                          (int64_t)traces->output.length));
    log_info("traces",
             "answers = %lld, written = %lld, again = %lld, below_reward = %lld, "
             "without_reasoning = %lld, output = %s",
             (long long)traces->answers, (long long)traces->written, (long long)traces->again,
             (long long)traces->poor, (long long)traces->open, cli_value(cli, "output"));
    return STATUS_OK;
}

static enum status run(struct cli *cli) {
    const char *const tag = cli_value(cli, "think-tag");
    char close[64];
    struct traces traces = {.settings = {.least_reward = -HUGE_VAL, .think_close = close}};
    TRY(cli_real(cli, "min-reward", -1e300, 1e300, &traces.settings.least_reward));
    TRY(choose_end(cli, &traces.settings.reference));
    if (tag != NULL && (tag[0] == '\0' || strlen(tag) > 32))
        return FAIL(STATUS_USAGE, "--think-tag: a name has 1 to 32 bytes");
    snprintf(close, sizeof close, "</%s>", tag != NULL ? tag : "think");
    const enum status status = write_traces(cli, &traces);
    traces_release(&traces);
    return status;
}

const struct cli_command cmd_traces = {
    .name = "traces",
    .arguments = "RUN...",
    .text = "answers of runs as rows for sft, chosen by reward, none twice",
    .more =
        "Each answer in the rollout files of the runs becomes a line with \"prompt\" (as it was shown,\n"
        "before the chat form), \"response\" (the answer; with --completion reference its reasoning up to\n"
        "the closing tag, and the reference behind it), \"reasoning\", \"reference\", \"reward\",\n"
        "\"finish_reason\", and where it is from: \"run\", \"step\", \"source\", \"row\", \"epoch\", \"answer\".\n"
        "A run with sft learns from them by\n"
        "\n"
        "    data : { train = ( { path = \"F.jsonl\"; prompt = \"prompt\"; answer = \"response\"; } ); };\n"
        "    prompt : { template = \"{prompt}\"; };\n"
        "\n"
        "and takes a part of them by where = \"reward >= 1 && finish_reason == 'stop'\".",
    .options =
        {
            {"output", "F.jsonl", "where to write", true},
            {"min-reward", "X", "leave out answers with less [all are taken]", false},
            {"completion", "WORD", "what stands behind the reasoning: own or reference [own]",
             false},
            {"think-tag", "NAME", "name of the tags around the reasoning [think]", false},
        },
    .least = 1,
    .most = -1,
    .run = run,
};
