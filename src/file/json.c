/* SPDX-License-Identifier: Apache-2.0
 *
 * jansson itself bounds the depth (2048 levels) and refuses broken UTF-8, NaN, infinite numbers and
 * integers beyond 64 bits; JSON_REJECT_DUPLICATES is ours to ask for. A zero character inside a
 * string is kept (JSON_ALLOW_NUL), and refused where a C string is asked for.
 */
#include "file/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/file_kind.h"
#include "base/strbuf.h"
#include "file/bytes.h"
#include "file/lines.h"

#define FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL)

enum status json_parse(const char *text, size_t length, const char *path, long line, json_t **out) {
    json_error_t error;
    char quote[STATUS_QUOTE_MAX];
    if (line == 0 && length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3; /* a byte order mark */
        length -= 3;
    }
    *out = json_loadb(text, length, FLAGS, &error);
    if (*out != NULL)
        return STATUS_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return FAIL(STATUS_MEMORY, "%s: memory ran out while its JSON was read", path);
    const char *what = line > 0 ? NULL : file_kind(text, length);
    if (what != NULL)
        return FAIL(STATUS_INPUT, "%s: not valid JSON: this is %s", path, what);
    return FAIL(STATUS_INPUT, "%s:%ld: not valid JSON: %s", path, line > 0 ? line : error.line,
                status_quote(quote, error.text, SIZE_MAX));
}

enum status json_read_file(const char *path, int64_t limit_bytes, json_t **out) {
    struct strbuf text = STRBUF_EMPTY;
    *out = NULL;
    enum status status = bytes_read_file(path, limit_bytes, &text);
    if (status == STATUS_OK)
        status = json_parse(strbuf_text(&text), text.length, path, 0, out);
    strbuf_release(&text);
    return status;
}

static const char *type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "unknown";
}

/* *out is NULL where the field is missing or null. */
static enum status find_field(const json_t *object, const char *path, const char *name,
                              const json_t **out) {
    if (!json_is_object(object))
        return FAIL(STATUS_INPUT, "%s: field \"%s\" is looked for in %s; an object is expected",
                    path, name, object == NULL ? "nothing" : type_name(object));
    *out = json_object_get(object, name);
    if (json_is_null(*out))
        *out = NULL;
    return STATUS_OK;
}

static enum status wrong_type(const json_t *value, const char *path, const char *name,
                              const char *wanted) {
    return FAIL(STATUS_INPUT, "%s: field \"%s\" is %s; %s is expected", path, name,
                type_name(value), wanted);
}

enum status json_get_integer(const json_t *object, const char *path, const char *name,
                             int64_t otherwise, int64_t *out) {
    const json_t *value;
    TRY(find_field(object, path, name, &value));
    if (value != NULL && !json_is_integer(value))
        return wrong_type(value, path, name, "an integer");
    *out = value != NULL ? (int64_t)json_integer_value(value) : otherwise;
    return STATUS_OK;
}

enum status json_get_real(const json_t *object, const char *path, const char *name,
                          double otherwise, double *out) {
    const json_t *value;
    TRY(find_field(object, path, name, &value));
    if (value != NULL && !json_is_number(value))
        return wrong_type(value, path, name, "a number");
    *out = value != NULL ? json_number_value(value) : otherwise;
    return STATUS_OK;
}

enum status json_get_bool(const json_t *object, const char *path, const char *name, bool otherwise,
                          bool *out) {
    const json_t *value;
    TRY(find_field(object, path, name, &value));
    if (value != NULL && !json_is_boolean(value))
        return wrong_type(value, path, name, "true or false");
    *out = value != NULL ? json_is_true(value) : otherwise;
    return STATUS_OK;
}

enum status json_get_string(const json_t *object, const char *path, const char *name,
                            const char *otherwise, const char **out) {
    const json_t *value;
    TRY(find_field(object, path, name, &value));
    if (value != NULL && !json_is_string(value))
        return wrong_type(value, path, name, "a text");
    if (value != NULL && strlen(json_string_value(value)) != json_string_length(value))
        return FAIL(STATUS_INPUT, "%s: field \"%s\" holds a zero character (\\u0000)", path, name);
    *out = value != NULL ? json_string_value(value) : otherwise;
    return STATUS_OK;
}

struct value_visit {
    const char *path;
    enum status (*visit)(void *context, int64_t row, json_t *value);
    void *context;
};

static enum status visit_line(void *context, int64_t row, const char *text, size_t length) {
    const struct value_visit *visit = context;
    json_t *value;
    if (lines_is_blank(text, length))
        return STATUS_OK;
    TRY(json_parse(text, length, visit->path, (long)row + 1, &value));
    const enum status status = visit->visit(visit->context, row, value);
    json_decref(value);
    return status;
}

enum status json_lines_read(const char *path,
                            enum status (*visit)(void *context, int64_t row, json_t *value),
                            void *context) {
    struct value_visit values = {.path = path, .visit = visit, .context = context};
    return lines_read_file(path, visit_line, &values);
}

char *json_text(const json_t *value) {
    for (size_t digits = 15; digits < 17; digits++) {
        char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));
        json_t *back = text != NULL ? json_loads(text, 0, NULL) : NULL;
        const int same = json_equal(value, back);
        json_decref(back);
        if (same)
            return text;
        free(text);
    }
    return json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
}
