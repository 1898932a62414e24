/* SPDX-License-Identifier: Apache-2.0
 *
 * What a line of the input of gradus generate asks. Its prompt is, by the first of these that it
 * has:
 *
 *     1. "prompt_token_ids", a list of token ids
 *     2. the prompt field, or the messages, of a source of data.train: the source that is this very
 *        file, then the others in their order
 *     3. "prompt"
 *     4. "messages", a conversation up to an assistant's turn at the end
 *
 * Its reference is the answer field of the same source, cut by the source's answer_after; where the
 * line has none, the first that it has of the other sources' and "answer"; beside messages at last
 * the assistant's turn at their end.
 */
#ifndef CLI_GENERATE_ROW_H
#define CLI_GENERATE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "config/settings.h"
#include "data/dataset.h"

/* Sources in the order in which their names count; the last are {"prompt", "answer"} and
 * {"messages", "answer"}. */
struct generate_names {
    struct dataset_source *sources; /* (count) texts are borrowed from the settings */
    int64_t count;
};

/* For the lines of the file at `path`, which is borrowed too. */
enum status generate_names_init(struct generate_names *names, const struct settings *settings,
                                const char *path) MUST_USE;
void generate_names_release(struct generate_names *names);

struct generate_row {
    const json_t *ids; /* the list of token ids, or NULL */
    /* Else the row's prompt, a text borrowed from the line, or its conversation, whose turns and
     * texts are below */
    struct dataset_item item;
    bool has_reference;
    struct strbuf reference; /* owned as the following: generate_row_release */
    struct turn_list turns;
    struct strbuf texts;
};

/* Reads a line (a JSON value; `row` is its 0-based number). A line without a prompt is a sentence
 * that names the fields it could have had. */
enum status generate_row_read(const struct generate_names *names, int64_t row, const json_t *line,
                              struct generate_row *out) MUST_USE;
void generate_row_release(struct generate_row *row);

#endif
