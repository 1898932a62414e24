/* SPDX-License-Identifier: Apache-2.0
 *
 * A scanner that finds where a value ends: it follows strings and brackets and looks at nothing
 * else. Its recursion is a stack of bits of fixed size.
 */
#include "file/json_fields.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"
#include "file/bytes.h"
#include "file/json.h"

enum { DEPTH_MAX = 2048 }; /* that of jansson */

struct scan {
    const char *text;
    size_t length, at;
};

static char peek(const struct scan *scan) {
    return scan->at < scan->length ? scan->text[scan->at] : '\0';
}

static void skip_space(struct scan *scan) {
    while (scan->at < scan->length && strchr(" \t\r\n", scan->text[scan->at]) != NULL &&
           scan->text[scan->at] != '\0')
        scan->at++;
}

static bool accept(struct scan *scan, char wanted) {
    skip_space(scan);
    if (scan->at >= scan->length || scan->text[scan->at] != wanted)
        return false;
    scan->at++;
    return true;
}

static bool skip_string(struct scan *scan) {
    for (scan->at++; scan->at < scan->length; scan->at++) {
        if (scan->text[scan->at] == '"') {
            scan->at++;
            return true;
        }
        scan->at += scan->text[scan->at] == '\\';
    }
    return false;
}

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '-' || c == '.';
}

/* Numbers, true, false, null, and words that only look like a value. */
static bool skip_word(struct scan *scan) {
    const size_t begin = scan->at;
    while (scan->at < scan->length && is_word(scan->text[scan->at]))
        scan->at++;
    return scan->at > begin;
}

static bool skip_brackets(struct scan *scan) {
    unsigned char braces[DEPTH_MAX / 8] = {0};
    size_t depth = 0;
    do {
        const char c = peek(scan);
        if (scan->at >= scan->length)
            return false;
        if (c == '"') {
            if (!skip_string(scan))
                return false;
            continue;
        }
        scan->at++;
        if (c == '{' || c == '[') {
            if (depth == DEPTH_MAX)
                return false;
            const unsigned char bit = (unsigned char)(1u << depth % 8);
            braces[depth / 8] =
                (unsigned char)(c == '{' ? braces[depth / 8] | bit : braces[depth / 8] & ~bit);
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
            if ((braces[depth / 8] >> depth % 8 & 1) != (c == '}'))
                return false;
        }
    } while (depth > 0);
    return true;
}

static bool skip_value(struct scan *scan) {
    const char c = peek(scan);
    if (c == '"')
        return skip_string(scan);
    return c == '{' || c == '[' ? skip_brackets(scan) : skip_word(scan);
}

/* ---- fields ---------------------------------------------------------------------------- */

struct span {
    const char *text;
    size_t length;
};

/* A quoted name as text; empty where it is none that a field can be asked for by. */
static enum status read_name(struct span quoted, struct strbuf *out) {
    strbuf_clear(out);
    if (memchr(quoted.text, '\\', quoted.length) == NULL)
        return strbuf_append(out, quoted.text + 1, quoted.length - 2);
    json_t *name = json_loadb(quoted.text, quoted.length, JSON_DECODE_ANY, NULL);
    const enum status status =
        name != NULL ? strbuf_append(out, json_string_value(name), json_string_length(name))
                     : STATUS_OK;
    json_decref(name);
    return status;
}

struct fields {
    const char *path;
    long line;
    const char *const *names;
    size_t count;
    json_t *object;
    struct strbuf name;
};

static bool is_asked(const struct fields *fields, const struct strbuf *name) {
    for (size_t i = 0; i < fields->count; i++)
        if (strlen(fields->names[i]) == name->length &&
            memcmp(fields->names[i], strbuf_text(name), name->length) == 0)
            return true;
    return false;
}

static enum status parse_asked(const struct fields *fields, struct span value, json_t **out) {
    json_error_t error;
    char name[STATUS_QUOTE_MAX], quote[STATUS_QUOTE_MAX];
    status_quote(name, strbuf_text(&fields->name), fields->name.length);
    *out = NULL;
    if (json_object_get(fields->object, strbuf_text(&fields->name)) != NULL)
        return FAIL(STATUS_INPUT, "%s:%ld: the field \"%s\" stands twice (a duplicate)",
                    fields->path, fields->line, name);
    *out = json_loadb(value.text, value.length,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (*out == NULL)
        return FAIL(STATUS_INPUT, "%s:%ld: the field \"%s\" is not valid JSON: %s", fields->path,
                    fields->line, name, status_quote(quote, error.text, SIZE_MAX));
    return STATUS_OK;
}

static enum status take_field(struct fields *fields, struct span name, struct span value) {
    json_t *parsed;
    TRY(read_name(name, &fields->name));
    if (is_asked(fields, &fields->name))
        TRY(parse_asked(fields, value, &parsed));
    else
        parsed = json_true();
    if (parsed == json_true() &&
        (fields->name.length == 0 || !utf8_is_valid(fields->name.text, fields->name.length)))
        return STATUS_OK; /* a name that nobody can ask for */
    if (json_object_set_new(fields->object, strbuf_text(&fields->name), parsed) != 0)
        return FAIL(STATUS_MEMORY, "%s: memory ran out while its JSON was read", fields->path);
    return STATUS_OK;
}

/* Whether the text is an object whose fields could all be delimited; their values are taken. */
static enum status scan_fields(struct fields *fields, struct scan *scan, bool *whole) {
    *whole = false;
    if (!accept(scan, '{'))
        return STATUS_OK;
    bool more = !accept(scan, '}');
    while (more) {
        skip_space(scan);
        struct span name = {scan->text + scan->at, scan->at}, value;
        if (peek(scan) != '"' || !skip_string(scan))
            return STATUS_OK;
        name.length = scan->at - name.length;
        if (!accept(scan, ':'))
            return STATUS_OK;
        skip_space(scan);
        value = (struct span){scan->text + scan->at, scan->at};
        if (!skip_value(scan))
            return STATUS_OK;
        value.length = scan->at - value.length;
        TRY(take_field(fields, name, value));
        more = accept(scan, ',');
        if (!more && !accept(scan, '}'))
            return STATUS_OK;
    }
    skip_space(scan);
    *whole = scan->at == scan->length;
    return STATUS_OK;
}

enum status json_parse_fields(const char *text, size_t length, const char *path, long line,
                              const char *const *names, size_t count, json_t **out) {
    struct fields fields = {
        .path = path, .line = line, .names = names, .count = count, .object = json_object()};
    struct scan scan = {.text = text, .length = length};
    bool whole = false;
    *out = NULL;
    enum status status = fields.object != NULL ? scan_fields(&fields, &scan, &whole)
                                               : FAIL(STATUS_MEMORY, "%s: memory ran out", path);
    strbuf_release(&fields.name);
    if (status == STATUS_OK && whole) {
        *out = fields.object;
        return STATUS_OK;
    }
    json_decref(fields.object);
    return status != STATUS_OK ? status : json_parse(text, length, path, line, out);
}

/* ---- numbers that no reader can hold --------------------------------------------------- */

static bool is_beyond(const char *word, size_t length) {
    char copy[512];
    char *end;
    if (length >= sizeof copy || length == 0)
        return length > 0;
    memcpy(copy, word, length);
    copy[length] = '\0';
    if (strcmp(copy, "NaN") == 0 || strcmp(copy, "Infinity") == 0 || strcmp(copy, "-Infinity") == 0)
        return true;
    errno = 0;
    if (strspn(copy, "-0123456789") == length)
        (void)strtoll(copy, &end, 10);
    else if (strspn(copy, "+-0123456789.eE") != length || isfinite(strtod(copy, &end)))
        errno = 0;
    else
        errno = ERANGE;
    return errno == ERANGE;
}

/* Appends the text with "null" in the place of such numbers. */
static enum status forget_numbers(const char *text, size_t length, struct strbuf *out) {
    struct scan scan = {.text = text, .length = length};
    while (scan.at < length) {
        const size_t begin = scan.at;
        const bool word = is_word(text[begin]);
        if (text[begin] == '"')
            (void)skip_string(&scan);
        else if (word)
            (void)skip_word(&scan);
        else
            scan.at++;
        scan.at = scan.at < length ? scan.at : length; /* a string that never ends */
        if (word && is_beyond(text + begin, scan.at - begin))
            TRY(strbuf_append_text(out, "null"));
        else
            TRY(strbuf_append(out, text + begin, scan.at - begin));
    }
    return STATUS_OK;
}

enum status json_read_tolerant(const char *path, int64_t limit_bytes, json_t **out) {
    struct strbuf text = STRBUF_EMPTY, tolerant = STRBUF_EMPTY;
    *out = NULL;
    enum status status = bytes_read_file(path, limit_bytes, &text);
    if (status == STATUS_OK)
        status = forget_numbers(strbuf_text(&text), text.length, &tolerant);
    if (status == STATUS_OK)
        status = json_parse(strbuf_text(&tolerant), tolerant.length, path, 0, out);
    strbuf_release(&text);
    strbuf_release(&tolerant);
    return status;
}
