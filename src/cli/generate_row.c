/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/generate_row.h"

#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"

static bool same_file(const char *a, const char *b) {
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

enum status generate_names_init(struct generate_names *names, const struct settings *settings,
                                const char *path) {
    const struct train_source *train = settings->data.train;
    const int64_t count = settings->data.train_count;
    *names = (struct generate_names){.count = 0};
    TRY(memory_new(&names->sources, count + 2, "names of fields"));
    for (int round = 0; round < 2; round++) /* first the sources that are this file */
        for (int64_t i = 0; i < count; i++)
            if (same_file(train[i].path, path) == (round == 0))
                names->sources[names->count++] =
                    (struct dataset_source){.path = path,
                                            .prompt = train[i].prompt,
                                            .messages = train[i].messages,
                                            .answer = train[i].answer,
                                            .answer_after = train[i].answer_after};
    names->sources[names->count++] =
        (struct dataset_source){.path = path, .prompt = "prompt", .answer = "answer"};
    names->sources[names->count++] =
        (struct dataset_source){.path = path, .messages = "messages", .answer = "answer"};
    return STATUS_OK;
}

void generate_names_release(struct generate_names *names) {
    memory_release(&names->sources);
    names->count = 0;
}

static bool given(const char *text) {
    return text != NULL && text[0] != '\0';
}

/* The field that holds what a source continues. */
static const char *field_of(const struct dataset_source *source) {
    return given(source->messages) ? source->messages : source->prompt;
}

static enum status no_prompt(const struct generate_names *names, int64_t row, const json_t *line) {
    struct strbuf known = STRBUF_EMPTY, has = STRBUF_EMPTY;
    char known_quoted[STATUS_QUOTE_MAX], has_quoted[STATUS_QUOTE_MAX];
    const char *key;
    json_t *value;
    enum status status = strbuf_append_text(&known, "prompt_token_ids");
    for (int64_t i = 0; i < names->count && status == STATUS_OK; i++)
        status = strbuf_append_format(&known, ", %s", field_of(&names->sources[i]));
    json_object_foreach((json_t *)line, key, value) {
        if (status == STATUS_OK)
            status = strbuf_append_format(&has, "%s%s", has.length > 0 ? ", " : "", key);
    }
    if (status == STATUS_OK)
        status = FAIL(STATUS_INPUT,
                      "%s:%lld: the line has no prompt, which is one of the fields %s; it has: %s. "
                      "Name its field as the prompt of a source of data.train, or rename it",
                      names->sources[0].path, (long long)row + 1,
                      status_quote(known_quoted, strbuf_text(&known), known.length),
                      status_quote(has_quoted, strbuf_text(&has), has.length));
    strbuf_release(&has);
    strbuf_release(&known);
    return status;
}

static const struct dataset_source *find_prompt(const struct generate_names *names,
                                                const json_t *line) {
    for (int64_t i = 0; i < names->count; i++) {
        const json_t *field = json_object_get(line, field_of(&names->sources[i]));
        if (given(names->sources[i].messages) ? json_is_array(field) : json_is_string(field))
            return &names->sources[i];
    }
    return NULL;
}

static bool has_answer(const struct dataset_source *source, const json_t *line) {
    const json_t *answer = given(source->answer) ? json_object_get(line, source->answer) : NULL;
    return json_is_string(answer) || json_is_number(answer);
}

/* The source whose reference the line has: `first` before the others. */
static const struct dataset_source *find_answer(const struct generate_names *names,
                                                const struct dataset_source *first,
                                                const json_t *line) {
    if (first != NULL && has_answer(first, line))
        return first;
    for (int64_t i = 0; i < names->count; i++)
        if (has_answer(&names->sources[i], line))
            return &names->sources[i];
    return NULL;
}

/* The turn at the end of the messages, as the reference of a source without another one. */
static enum status take_last_turn(const struct dataset_source *source, int64_t row,
                                  const json_t *line, struct generate_row *out) {
    const struct conversation *conversation = &out->item.conversation;
    struct dataset_source alone = *source;
    alone.answer = NULL;
    out->has_reference = conversation_before_answer(conversation) < conversation->count;
    return out->has_reference ? dataset_reference(&alone, row, line, &out->reference) : STATUS_OK;
}

static enum status take_messages(const struct dataset_source *source, int64_t row,
                                 const json_t *line, struct generate_row *out) {
    TRY(dataset_place(conversation_read(json_object_get(line, source->messages), source->messages,
                                        &out->turns, &out->texts),
                      source->path, row));
    out->item.conversation = (struct conversation){
        .turns = out->turns.turns, .count = out->turns.count, .texts = strbuf_text(&out->texts)};
    return STATUS_OK;
}

enum status generate_row_read(const struct generate_names *names, int64_t row, const json_t *line,
                              struct generate_row *out) {
    const json_t *ids = json_object_get(line, "prompt_token_ids");
    const struct dataset_source *source = find_prompt(names, line);
    *out = (struct generate_row){.ids = json_is_array(ids) ? ids : NULL};
    if (!json_is_object(line))
        return FAIL(STATUS_INPUT, "%s:%lld: the line is not a JSON object", names->sources[0].path,
                    (long long)row + 1);
    if (out->ids == NULL && source == NULL)
        return no_prompt(names, row, line);
    const struct dataset_source *asked = out->ids == NULL ? source : NULL;
    const bool messages = asked != NULL && given(asked->messages);
    if (messages) {
        TRY(take_messages(asked, row, line, out));
    } else if (asked != NULL) {
        const json_t *prompt = json_object_get(line, asked->prompt);
        out->item = (struct dataset_item){.prompt = json_string_value(prompt),
                                          .prompt_length = json_string_length(prompt)};
    }
    source = find_answer(names, asked, line);
    if (source == NULL && messages)
        return take_last_turn(asked, row, line, out);
    out->has_reference = source != NULL;
    return source != NULL ? dataset_reference(source, row, line, &out->reference) : STATUS_OK;
}

void generate_row_release(struct generate_row *row) {
    strbuf_release(&row->reference);
    strbuf_release(&row->texts);
    memory_release(&row->turns.turns);
    *row = (struct generate_row){.ids = NULL};
}
