/* SPDX-License-Identifier: Apache-2.0 */
#include "reward/program_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file/json.h"
#include "file/json_fields.h"

/* --- what is asked --- */

static json_t *object_of(const struct reward_input *input, int64_t id, bool last) {
    return json_pack("{s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:s%, s:s%, s:s%, s:I, s:I, s:s}", "id",
                     (json_int_t)id, "last", last, "step", (json_int_t)input->step, "group",
                     (json_int_t)input->group, "answer", (json_int_t)input->answer_index, "source",
                     (json_int_t)input->source, "row", (json_int_t)input->row, "prompt",
                     input->prompt, input->prompt_length, "text", input->text, input->length,
                     "reference", input->reference, input->reference_length, "tokens",
                     (json_int_t)input->tokens, "max_new_tokens", (json_int_t)input->max_new_tokens,
                     "finish_reason", input->finish_reason);
}

enum status program_line_ask(const struct reward_input *input, int64_t id, bool last,
                             struct strbuf *out) {
    json_t *object = object_of(input, id, last);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "the line for a reward program cannot be made");
    const enum status status = strbuf_append_format(out, "%s\n", text);
    free(text);
    return status;
}

/* --- what is answered --- */

/* A line of the program in sentences. */
struct place {
    const char *path;
    long line;
};

static enum status take_reward(const struct place *at, const json_t *object,
                               struct program_answer *answer) {
    const json_t *value = json_object_get(object, "reward");
    if (!json_is_number(value))
        return FAIL(STATUS_INPUT, "%s:%ld: the field \"reward\" is %s", at->path, at->line,
                    value == NULL ? "missing" : "no number");
    answer->reward = json_number_value(value);
    if (!isfinite(answer->reward))
        return FAIL(STATUS_INPUT, "%s:%ld: the field \"reward\" is not finite", at->path, at->line);
    return STATUS_OK;
}

static enum status take_fields(const struct place *at, const json_t *object,
                               struct program_answer *answer) {
    const json_t *id = json_object_get(object, "id"), *says = json_object_get(object, "error");
    if (!json_is_object(object))
        return FAIL(STATUS_INPUT, "%s:%ld: the line is no JSON object", at->path, at->line);
    if (!json_is_integer(id))
        return FAIL(STATUS_INPUT, "%s:%ld: the field \"id\" is %s", at->path, at->line,
                    id == NULL ? "missing" : "no integer");
    answer->id = (int64_t)json_integer_value(id);
    if (json_is_null(says) || says == NULL)
        return take_reward(at, object, answer);
    if (!json_is_string(says) || json_string_length(says) == 0)
        return FAIL(STATUS_INPUT, "%s:%ld: the field \"error\" is no text", at->path, at->line);
    status_quote(answer->says, json_string_value(says), json_string_length(says));
    return STATUS_OK;
}

enum status program_line_read(const char *text, size_t length, const char *path, long line,
                              struct program_answer *answer) {
    static const char *const names[] = {"id", "reward", "error"};
    const struct place at = {.path = path, .line = line};
    json_t *object;
    *answer = (struct program_answer){.id = -1};
    TRY(json_parse_fields(text, length, path, line, names, sizeof names / sizeof *names, &object));
    const enum status status = take_fields(&at, object, answer);
    json_decref(object);
    return status;
}
