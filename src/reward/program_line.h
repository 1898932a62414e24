/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines between this process and a reward program (reward/program.h): one JSON object each.
 */
#ifndef REWARD_PROGRAM_LINE_H
#define REWARD_PROGRAM_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "reward/reward.h"

/* A longer answer line is refused. */
enum { PROGRAM_LINE_MOST = 1 << 20 };

/* Appends the line that asks for one reward, its LF included. */
enum status program_line_ask(const struct reward_input *input, int64_t id, bool last,
                             struct strbuf *out) MUST_USE;

/* What a line of the program says. */
struct program_answer {
    int64_t id;
    double reward;               /* finite */
    char says[STATUS_QUOTE_MAX]; /* its field "error", quoted; "" where it has none */
};

/* Reads a line without its LF; `path` and `line` name it in sentences. STATUS_INPUT with a sentence for anything but an object with an
 * integer `id`, and a finite number `reward` or a text `error`; other fields may hold anything. */
enum status program_line_read(const char *text, size_t length, const char *path, long line,
                              struct program_answer *answer) MUST_USE;

#endif
