/* SPDX-License-Identifier: Apache-2.0
 *
 * All texts stand one after another in one block, so that reading allocates little.
 */
#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "data/filter.h"
#include "file/bytes.h"
#include "file/json_fields.h"
#include "file/lines.h"

struct dataset_entry {
    int64_t row;
    size_t prompt, prompt_length, reference, reference_length; /* offsets into dataset.text */
    size_t solution, solution_length;
    int64_t turn, turn_count; /* into dataset.turns */
};

struct reader {
    struct dataset *dataset;
    const struct dataset_source *source;
    struct filter *filter;
    const char **fields; /* those that are asked for */
    size_t field_count;
    /* the row in hand */
    int64_t row;
    const json_t *value;
    struct dataset_entry entry; /* once texts_read */
    bool texts_read;
};

static bool given(const char *text) {
    return text != NULL && text[0] != '\0';
}

/* --- numbers, as Python's str writes them --- */

/* The fewest digits that read back as the same number; with an exponent below 1e-4 and from 1e16
 * on, with at least one digit behind the point. */
static void real_text(double value, char out[32]) {
    char digits[32];
    int precision = 0;
    do
        snprintf(digits, sizeof digits, "%.*e", precision, value);
    while (strtod(digits, NULL) != value && ++precision < 17);
    const int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16)
        snprintf(out, 32, "%s", digits);
    else
        snprintf(out, 32, "%.*f", precision > exponent + 1 ? precision - exponent : 1, value);
}

/* --- fields --- */

static enum status missing_field(const struct reader *reader, int64_t row, const json_t *value,
                                 const char *name) {
    struct strbuf names = STRBUF_EMPTY;
    char quote[STATUS_QUOTE_MAX], wanted[STATUS_QUOTE_MAX];
    const char *key;
    json_t *field;
    enum status status = STATUS_OK;
    json_object_foreach((json_t *)value, key, field) {
        if (status == STATUS_OK)
            status = strbuf_append_format(&names, "%s%s", names.length > 0 ? ", " : "", key);
    }
    if (status == STATUS_OK)
        status =
            FAIL(STATUS_INPUT, "%s:%lld: the row has no field \"%s\"; it has: %s",
                 reader->source->path, (long long)row + 1, status_quote(wanted, name, SIZE_MAX),
                 status_quote(quote, strbuf_text(&names), names.length));
    strbuf_release(&names);
    return status;
}

static enum status field_of(const struct reader *reader, int64_t row, const json_t *value,
                            const char *name, const json_t **out) {
    *out = json_object_get(value, name);
    if (*out == NULL)
        return missing_field(reader, row, value, name);
    return STATUS_OK;
}

static enum status wrong_type(const struct reader *reader, int64_t row, const char *name,
                              const char *wanted) {
    return FAIL(STATUS_INPUT, "%s:%lld: field \"%s\" is not %s", reader->source->path,
                (long long)row + 1, name, wanted);
}

/* Appends a text and its terminator; *at and *length say where it stands. */
static enum status keep_text(struct dataset *dataset, const char *text, size_t length, size_t *at,
                             size_t *where_length) {
    *at = dataset->text.length;
    *where_length = length;
    TRY(strbuf_append(&dataset->text, text, length));
    return strbuf_append(&dataset->text, "", 1);
}

/* What follows the last occurrence of the marker, or the whole text; trimmed. */
static void cut_answer(struct dataset *dataset, const char *marker, struct utf8_span *text) {
    const size_t bytes = strlen(marker);
    size_t at = text->length + 1;
    while (at-- > 0)
        if (text->length - at >= bytes && memcmp(text->text + at, marker, bytes) == 0)
            break;
    if (at == SIZE_MAX)
        dataset->unmarked++;
    else
        *text = (struct utf8_span){text->text + at + bytes, text->length - at - bytes};
    *text = utf8_trim(*text);
}

static struct conversation conversation_of(const struct dataset *dataset,
                                           const struct dataset_entry *entry) {
    if (entry->turn_count == 0)
        return (struct conversation){.texts = ""};
    return (struct conversation){.turns = dataset->turns.turns + entry->turn,
                                 .count = entry->turn_count,
                                 .texts = strbuf_text(&dataset->text)};
}

static enum status keep_conversation(struct reader *reader, struct dataset_entry *entry) {
    const char *name = reader->source->messages;
    struct dataset *dataset = reader->dataset;
    const json_t *list;
    TRY(field_of(reader, reader->row, reader->value, name, &list));
    entry->turn = dataset->turns.count;
    TRY(dataset_place(conversation_read(list, name, &dataset->turns, &dataset->text),
                      reader->source->path, reader->row));
    entry->turn_count = dataset->turns.count - entry->turn;
    return STATUS_OK;
}

static enum status keep_cut(struct reader *reader, struct utf8_span text,
                            struct dataset_entry *entry) {
    if (given(reader->source->answer_after))
        cut_answer(reader->dataset, reader->source->answer_after, &text);
    return keep_text(reader->dataset, text.text, text.length, &entry->reference,
                     &entry->reference_length);
}

/* What the assistant's turn at the end says; copied, since the texts may move as they grow. */
static enum status keep_last_turn(struct reader *reader, struct dataset_entry *entry) {
    const struct conversation conversation = conversation_of(reader->dataset, entry);
    const int64_t before = conversation_before_answer(&conversation);
    struct strbuf copy = STRBUF_EMPTY;
    struct utf8_span text = utf8_span("");
    if (before < conversation.count)
        text = conversation_message(&conversation, before).content;
    enum status status = strbuf_append(&copy, text.text, text.length);
    if (status == STATUS_OK)
        status = keep_cut(reader, (struct utf8_span){strbuf_text(&copy), copy.length}, entry);
    strbuf_release(&copy);
    return status;
}

/* The text of a field, or of the number in it, which is written to `number`. */
static enum status text_of(const struct reader *reader, const char *name, char number[32],
                           struct utf8_span *text) {
    const json_t *field = NULL;
    TRY(field_of(reader, reader->row, reader->value, name, &field));
    if (json_is_integer(field))
        snprintf(number, 32, "%lld", (long long)json_integer_value(field));
    else if (json_is_real(field))
        real_text(json_real_value(field), number);
    else if (!json_is_string(field))
        return wrong_type(reader, reader->row, name, "a text or a number");
    *text = json_is_string(field)
                ? (struct utf8_span){json_string_value(field), json_string_length(field)}
                : utf8_span(number);
    return STATUS_OK;
}

static enum status keep_answer(struct reader *reader, struct dataset_entry *entry) {
    struct utf8_span text;
    char number[32];
    TRY(text_of(reader, reader->source->answer, number, &text));
    return keep_cut(reader, text, entry);
}

/* The field of the solution, or of the answer, as it is. */
static enum status keep_solution(struct reader *reader, struct dataset_entry *entry) {
    const struct dataset_source *source = reader->source;
    const char *name = given(source->solution) ? source->solution : source->answer;
    struct utf8_span text;
    char number[32];
    if (source->solution == NULL || !given(name)) {
        entry->solution = entry->reference + entry->reference_length; /* an end of text */
        return STATUS_OK;
    }
    TRY(text_of(reader, name, number, &text));
    if (utf8_trim(text).length == 0)
        return FAIL(STATUS_INPUT,
                    "%s:%lld: field \"%s\" is empty: there is no solution to teach by",
                    source->path, (long long)reader->row + 1, name);
    return keep_text(reader->dataset, text.text, text.length, &entry->solution,
                     &entry->solution_length);
}

static enum status keep_reference(struct reader *reader, struct dataset_entry *entry) {
    if (given(reader->source->answer))
        return keep_answer(reader, entry);
    if (given(reader->source->messages))
        return keep_last_turn(reader, entry);
    return keep_text(reader->dataset, "", 0, &entry->reference, &entry->reference_length);
}

enum status dataset_reference(const struct dataset_source *source, int64_t row, const json_t *value,
                              struct strbuf *out) {
    struct dataset alone = {.path = NULL};
    struct reader reader = {.dataset = &alone, .source = source, .row = row, .value = value};
    struct dataset_entry entry = {.row = row};
    enum status status = STATUS_OK;
    if (!given(source->answer) && given(source->messages))
        status = keep_conversation(&reader, &entry);
    if (status == STATUS_OK)
        status = keep_reference(&reader, &entry);
    if (status == STATUS_OK)
        status =
            strbuf_append(out, strbuf_text(&alone.text) + entry.reference, entry.reference_length);
    dataset_close(&alone);
    return status;
}

static enum status add_entry(struct dataset *dataset, struct dataset_entry entry) {
    if (dataset->count == dataset->capacity) {
        const int64_t capacity = 2 * dataset->capacity + 256;
        TRY(memory_grow(&dataset->entries, capacity, "rows of a data file"));
        dataset->capacity = capacity;
    }
    dataset->entries[dataset->count++] = entry;
    return STATUS_OK;
}

static enum status keep_prompt(struct reader *reader, struct dataset_entry *entry) {
    const char *name = reader->source->prompt;
    const json_t *prompt;
    TRY(field_of(reader, reader->row, reader->value, name, &prompt));
    if (!json_is_string(prompt))
        return wrong_type(reader, reader->row, name, "a text");
    return keep_text(reader->dataset, json_string_value(prompt), json_string_length(prompt),
                     &entry->prompt, &entry->prompt_length);
}

/* Reads the texts of the row in hand, once. */
static enum status read_texts(struct reader *reader) {
    struct dataset_entry *entry = &reader->entry;
    if (reader->texts_read)
        return STATUS_OK;
    *entry = (struct dataset_entry){.row = reader->row};
    if (!given(reader->source->messages)) {
        TRY(keep_prompt(reader, entry));
    } else {
        TRY(keep_text(reader->dataset, "", 0, &entry->prompt, &entry->prompt_length));
        TRY(keep_conversation(reader, entry));
    }
    TRY(keep_reference(reader, entry));
    TRY(keep_solution(reader, entry));
    reader->texts_read = true;
    return STATUS_OK;
}

static struct dataset_item item_of(const struct dataset *dataset,
                                   const struct dataset_entry *entry) {
    return (struct dataset_item){.row = entry->row,
                                 .prompt = dataset->text.text + entry->prompt,
                                 .prompt_length = entry->prompt_length,
                                 .reference = dataset->text.text + entry->reference,
                                 .reference_length = entry->reference_length,
                                 .solution = dataset->text.text + entry->solution,
                                 .solution_length = entry->solution_length,
                                 .conversation = conversation_of(dataset, entry)};
}

static enum status count_tokens(void *context, int64_t *tokens) {
    struct reader *reader = context;
    TRY(read_texts(reader));
    const struct dataset_item item = item_of(reader->dataset, &reader->entry);
    return dataset_place(reader->source->count_tokens(reader->source->context, &item, tokens),
                         reader->source->path, reader->row);
}

/* Takes the row in hand, when the filter does. */
static enum status take_row(struct reader *reader, bool *taken) {
    const struct dataset_source *source = reader->source;
    const struct filter_row row = {.object = reader->value,
                                   .path = source->path,
                                   .line = (long)reader->row + 1,
                                   .count_tokens =
                                       source->count_tokens != NULL ? count_tokens : NULL,
                                   .context = reader};
    *taken = false;
    if (!json_is_object(reader->value))
        return FAIL(STATUS_INPUT, "%s:%lld: the line is not a JSON object", source->path,
                    (long long)reader->row + 1);
    TRY(filter_match(reader->filter, &row, taken));
    if (!*taken)
        return STATUS_OK;
    *taken = false;
    TRY(read_texts(reader));
    TRY(add_entry(reader->dataset, reader->entry));
    *taken = true;
    return STATUS_OK;
}

/* Whatever a row that is not taken has left is undone. */
static enum status parse_row(struct reader *reader, const char *text, size_t length) {
    struct dataset *dataset = reader->dataset;
    const size_t bytes = dataset->text.length;
    const int64_t unmarked = dataset->unmarked, turns = dataset->turns.count;
    json_t *value = NULL;
    bool taken = false;
    enum status status =
        json_parse_fields(text, length, reader->source->path, (long)reader->row + 1, reader->fields,
                          reader->field_count, &value);
    reader->value = value;
    reader->texts_read = false;
    if (status == STATUS_OK)
        status = take_row(reader, &taken);
    json_decref(value);
    if (!taken) {
        dataset->text.length = bytes;
        dataset->turns.count = turns;
        dataset->unmarked = unmarked;
    }
    return status;
}

static enum status refuse_array(const struct reader *reader, const char *text, size_t length) {
    const size_t space = strspn(text, " \t\r");
    if (reader->dataset->lines > 1 || space >= length || text[space] != '[')
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: this is a JSON array, not JSON lines (one object a line): convert it with "
                "jq -c '.[]' A > B",
                reader->source->path);
}

static enum status take_line(void *context, int64_t row, const char *text, size_t length) {
    struct reader *reader = context;
    if (lines_is_blank(text, length))
        return STATUS_OK;
    reader->dataset->lines++;
    reader->row = row;
    TRY(refuse_array(reader, text, length));
    const enum status status = parse_row(reader, text, length);
    if (status != STATUS_INPUT || !reader->source->skip_bad)
        return status;
    dataset_pass_over(reader->dataset);
    return STATUS_OK;
}

enum status dataset_place(enum status status, const char *path, int64_t row) {
    char sentence[STATUS_SENTENCE_MAX / 2];
    if (status != STATUS_INPUT)
        return status;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    return FAIL(status, "%s:%lld: %s", path, (long long)row + 1, sentence);
}

void dataset_pass_over(struct dataset *dataset) {
    if (dataset->bad++ < 3)
        log_info("data", "a bad row is left out: %s", status_sentence());
    status_clear();
}

/* --- the whole file --- */

/* A reference that says nothing makes every answer wrong, or an answer of nothing right. */
static void count_empty(struct dataset *dataset, const struct dataset_source *source) {
    const char *const texts = strbuf_text(&dataset->text);
    if (!given(source->answer))
        return;
    for (int64_t i = 0; i < dataset->count; i++) {
        const struct dataset_entry *const entry = &dataset->entries[i];
        const struct utf8_span text = {texts + entry->reference, entry->reference_length};
        dataset->empty += utf8_trim(text).length == 0;
    }
    if (dataset->empty > 0)
        log_info("data", "%s: warning: %lld of %lld rows have an empty reference, field \"%s\"",
                 source->path, (long long)dataset->empty, (long long)dataset->count,
                 source->answer);
}

static enum status check_taken(const struct dataset *dataset, const struct dataset_source *source) {
    char quote[STATUS_QUOTE_MAX];
    if (dataset->lines == 0)
        return FAIL(STATUS_INPUT, "%s: the file holds no rows", source->path);
    if (dataset->bad > 0)
        log_info("data", "%s: %lld of %lld rows are bad and left out (data.bad_rows = \"skip\")",
                 source->path, (long long)dataset->bad, (long long)dataset->lines);
    if (dataset->bad == dataset->lines)
        return FAIL(STATUS_INPUT,
                    "%s: all %lld rows are bad; data.bad_rows = \"error\" tells what the first "
                    "one lacks",
                    source->path, (long long)dataset->lines);
    if (dataset->count == 0 && dataset->bad > 0)
        return FAIL(STATUS_INPUT, "%s: of %lld rows %lld are bad, and none satisfies where = '%s'",
                    source->path, (long long)dataset->lines, (long long)dataset->bad,
                    status_quote(quote, source->where, SIZE_MAX));
    if (dataset->count == 0)
        return FAIL(STATUS_INPUT, "%s: none of the %lld rows satisfies where = '%s'", source->path,
                    (long long)dataset->lines, status_quote(quote, source->where, SIZE_MAX));
    if (dataset->unmarked == dataset->count)
        return FAIL(STATUS_INPUT,
                    "%s: answer_after = '%s' occurs in the field \"%s\" of no row: check its "
                    "spelling or leave it out",
                    source->path, status_quote(quote, source->answer_after, SIZE_MAX),
                    given(source->answer) ? source->answer : source->messages);
    if (dataset->unmarked > 0)
        log_info("data",
                 "%s: %lld of %lld rows lack answer_after = '%s': their whole answer counts",
                 source->path, (long long)dataset->unmarked, (long long)dataset->count,
                 status_quote(quote, source->answer_after, SIZE_MAX));
    return STATUS_OK;
}

/* What the source and its filter ask a row for. */
static enum status list_fields(struct reader *reader) {
    size_t count;
    const char *const *fields = filter_fields(reader->filter, &count);
    TRY(memory_new(&reader->fields, count + 3, "fields of a data file"));
    reader->fields[reader->field_count++] =
        given(reader->source->messages) ? reader->source->messages : reader->source->prompt;
    if (given(reader->source->answer))
        reader->fields[reader->field_count++] = reader->source->answer;
    if (given(reader->source->solution))
        reader->fields[reader->field_count++] = reader->source->solution;
    for (size_t i = 0; i < count; i++)
        reader->fields[reader->field_count++] = fields[i];
    return STATUS_OK;
}

static enum status read_rows(struct dataset *dataset, const struct dataset_source *source) {
    struct reader reader = {.dataset = dataset, .source = source};
    unsigned char digest[32];
    enum status status = filter_create(&reader.filter, source->where != NULL ? source->where : "");
    TRY_ELSE(status, done, status);
    TRY_ELSE(status, done, list_fields(&reader));
    TRY_ELSE(status, done, lines_read_file(source->path, take_line, &reader));
    TRY_ELSE(status, done, check_taken(dataset, source));
    count_empty(dataset, source);
    TRY_ELSE(status, done, bytes_hash_file(source->path, digest));
    sha256_hex(digest, dataset->sha256);
done:
    memory_release(&reader.fields);
    filter_destroy(&reader.filter);
    return status;
}

/* The whole file as one row. */
static enum status read_plain(struct dataset *dataset, const struct dataset_source *source) {
    struct dataset_entry entry = {.row = 0};
    struct strbuf text = STRBUF_EMPTY;
    unsigned char digest[32];
    enum status status;
    TRY_ELSE(status, done, bytes_read_file(source->path, (int64_t)LINES_LONGEST, &text));
    if (text.length == 0 || !utf8_is_valid(strbuf_text(&text), text.length))
        TRY_ELSE(status, done,
                 FAIL(STATUS_INPUT, "%s: %s", source->path,
                      text.length == 0 ? "the file is empty" : "the text is not valid UTF-8"));
    TRY_ELSE(
        status, done,
        keep_text(dataset, strbuf_text(&text), text.length, &entry.prompt, &entry.prompt_length));
    TRY_ELSE(status, done, keep_text(dataset, "", 0, &entry.reference, &entry.reference_length));
    TRY_ELSE(status, done, add_entry(dataset, entry));
    dataset->lines = 1;
    TRY_ELSE(status, done, bytes_hash_file(source->path, digest));
    sha256_hex(digest, dataset->sha256);
done:
    strbuf_release(&text);
    return status;
}

enum status dataset_open(struct dataset *dataset, const struct dataset_source *source) {
    ASSERT(given(source->path) &&
           (source->plain || given(source->prompt) || given(source->messages)));
    *dataset = (struct dataset){.path = NULL};
    const size_t bytes = strlen(source->path) + 1;
    TRY(memory_new(&dataset->path, bytes, "path"));
    memcpy(dataset->path, source->path, bytes);
    const enum status status =
        source->plain ? read_plain(dataset, source) : read_rows(dataset, source);
    if (status != STATUS_OK)
        dataset_close(dataset);
    return status;
}

void dataset_close(struct dataset *dataset) {
    memory_release(&dataset->path);
    memory_release(&dataset->entries);
    memory_release(&dataset->turns.turns);
    strbuf_release(&dataset->text);
    *dataset = (struct dataset){.path = NULL};
}

struct dataset_item dataset_item(const struct dataset *dataset, int64_t i) {
    ASSERT(i >= 0 && i < dataset->count);
    return item_of(dataset, dataset->entries + i);
}
