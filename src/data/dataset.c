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
#include "file/json.h"

struct dataset_entry {
    int64_t row;
    size_t prompt, prompt_length, reference, reference_length; /* offsets into dataset.text */
};

struct reader {
    struct dataset *dataset;
    const struct dataset_source *source;
    struct filter *filter;
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
    if (json_is_string(*out) &&
        memchr(json_string_value(*out), '\0', json_string_length(*out)) != NULL)
        return FAIL(STATUS_INPUT, "%s:%lld: field \"%s\" holds a zero character (\\u0000)",
                    reader->source->path, (long long)row + 1, name);
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
static void cut_answer(struct dataset *dataset, const char *marker, const char **text,
                       size_t *length) {
    const size_t bytes = strlen(marker);
    const char *const end = *text + *length, *found = NULL;
    for (const char *at = *text; (at = strstr(at, marker)) != NULL; at++)
        found = at + bytes;
    if (found == NULL)
        dataset->unmarked++;
    else
        *length = (size_t)(end - (*text = found));
    const struct utf8_span trimmed = utf8_trim((struct utf8_span){*text, *length});
    *text = trimmed.text;
    *length = trimmed.length;
}

static enum status keep_reference(struct reader *reader, int64_t row, const json_t *value,
                                  struct dataset_entry *entry) {
    const char *name = reader->source->answer, *text = "";
    char number[32];
    const json_t *field = NULL;
    if (given(name))
        TRY(field_of(reader, row, value, name, &field));
    if (json_is_string(field))
        text = json_string_value(field);
    else if (json_is_integer(field))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(field));
    else if (json_is_real(field))
        real_text(json_real_value(field), number);
    else if (field != NULL)
        return wrong_type(reader, row, name, "a text or a number");
    if (json_is_number(field))
        text = number;
    size_t length = strlen(text);
    if (given(name) && given(reader->source->answer_after))
        cut_answer(reader->dataset, reader->source->answer_after, &text, &length);
    return keep_text(reader->dataset, text, length, &entry->reference, &entry->reference_length);
}

enum status dataset_reference(const struct dataset_source *source, int64_t row, const json_t *value,
                              struct strbuf *out) {
    struct dataset alone = {.path = NULL};
    struct reader reader = {.dataset = &alone, .source = source};
    struct dataset_entry entry;
    enum status status = keep_reference(&reader, row, value, &entry);
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

static enum status take_row(void *context, int64_t row, json_t *value) {
    struct reader *reader = context;
    struct dataset *dataset = reader->dataset;
    const struct dataset_source *source = reader->source;
    bool taken;
    dataset->lines++;
    if (!json_is_object(value))
        return FAIL(STATUS_INPUT, "%s:%lld: the line is not a JSON object", source->path,
                    (long long)row + 1);
    TRY(filter_match(reader->filter, value, source->path, (long)row + 1, &taken));
    if (!taken)
        return STATUS_OK;
    struct dataset_entry entry = {.row = row};
    const json_t *prompt;
    TRY(field_of(reader, row, value, source->prompt, &prompt));
    if (!json_is_string(prompt))
        return wrong_type(reader, row, source->prompt, "a text");
    TRY(keep_text(dataset, json_string_value(prompt), json_string_length(prompt), &entry.prompt,
                  &entry.prompt_length));
    TRY(keep_reference(reader, row, value, &entry));
    return add_entry(dataset, entry);
}

/* --- the whole file --- */

static enum status check_taken(const struct dataset *dataset, const struct dataset_source *source) {
    char quote[STATUS_QUOTE_MAX];
    if (dataset->lines == 0)
        return FAIL(STATUS_INPUT, "%s: the file holds no rows", source->path);
    if (dataset->count == 0)
        return FAIL(STATUS_INPUT, "%s: none of the %lld rows satisfies where = '%s'", source->path,
                    (long long)dataset->lines, status_quote(quote, source->where, SIZE_MAX));
    if (dataset->unmarked == dataset->count)
        return FAIL(STATUS_INPUT,
                    "%s: answer_after = '%s' occurs in the field \"%s\" of no row: check its "
                    "spelling or leave it out",
                    source->path, status_quote(quote, source->answer_after, SIZE_MAX),
                    source->answer);
    if (dataset->unmarked > 0)
        log_info("data",
                 "%s: %lld of %lld rows lack answer_after = '%s': their whole answer counts",
                 source->path, (long long)dataset->unmarked, (long long)dataset->count,
                 status_quote(quote, source->answer_after, SIZE_MAX));
    return STATUS_OK;
}

static enum status read_rows(struct dataset *dataset, const struct dataset_source *source) {
    struct reader reader = {.dataset = dataset, .source = source};
    unsigned char digest[32];
    enum status status = filter_create(&reader.filter, source->where != NULL ? source->where : "");
    TRY_ELSE(status, done, status);
    TRY_ELSE(status, done, json_lines_read(source->path, take_row, &reader));
    TRY_ELSE(status, done, check_taken(dataset, source));
    TRY_ELSE(status, done, bytes_hash_file(source->path, digest));
    sha256_hex(digest, dataset->sha256);
done:
    filter_destroy(&reader.filter);
    return status;
}

enum status dataset_open(struct dataset *dataset, const struct dataset_source *source) {
    ASSERT(given(source->path) && given(source->prompt));
    *dataset = (struct dataset){.path = NULL};
    const size_t bytes = strlen(source->path) + 1;
    TRY(memory_new(&dataset->path, bytes, "path"));
    memcpy(dataset->path, source->path, bytes);
    const enum status status = read_rows(dataset, source);
    if (status != STATUS_OK)
        dataset_close(dataset);
    return status;
}

void dataset_close(struct dataset *dataset) {
    memory_release(&dataset->path);
    memory_release(&dataset->entries);
    strbuf_release(&dataset->text);
    *dataset = (struct dataset){.path = NULL};
}

struct dataset_item dataset_item(const struct dataset *dataset, int64_t i) {
    ASSERT(i >= 0 && i < dataset->count);
    const struct dataset_entry *entry = dataset->entries + i;
    return (struct dataset_item){.row = entry->row,
                                 .prompt = dataset->text.text + entry->prompt,
                                 .prompt_length = entry->prompt_length,
                                 .reference = dataset->text.text + entry->reference,
                                 .reference_length = entry->reference_length};
}
