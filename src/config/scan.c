/* SPDX-License-Identifier: Apache-2.0 */
#include "config/scan.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SCAN_PLACE_MAX = 440 };

struct scan {
    const char *where;
    bool has_lines;
    const char *at, *end; /* *end is 0 */
    long line;
    char before; /* the last character that was neither space nor comment */
};

/* "grpo.cfg:12: ", or without a number where the text has no lines. */
static const char *scan_place(const struct scan *scan, char out[SCAN_PLACE_MAX]) {
    if (scan->has_lines)
        snprintf(out, SCAN_PLACE_MAX, "%.400s:%ld", scan->where, scan->line);
    else
        snprintf(out, SCAN_PLACE_MAX, "%.400s", scan->where);
    return out;
}

#define WRONG(scan, format, ...)                                                                   \
    FAIL(STATUS_INPUT, "%s: " format, scan_place((scan), (char[SCAN_PLACE_MAX]){0}), __VA_ARGS__)

static bool starts_with(const struct scan *scan, const char *prefix) {
    return (size_t)(scan->end - scan->at) >= strlen(prefix) &&
           memcmp(scan->at, prefix, strlen(prefix)) == 0;
}

static void count_lines(struct scan *scan, const char *from) {
    for (const char *c = from; c < scan->at; c++)
        scan->line += *c == '\n';
}

static void skip_line(struct scan *scan) {
    while (scan->at < scan->end && *scan->at != '\n')
        scan->at++;
}

static enum status skip_comment(struct scan *scan) {
    const char *const from = scan->at;
    const char *const close = strstr(scan->at + 2, "*/");
    if (close == NULL)
        return WRONG(scan, "the comment that begins with %.2s here has no end", from);
    scan->at = close + 2;
    count_lines(scan, from);
    return STATUS_OK;
}

bool scan_is_command(char letter, const char *rest) {
    /* LaTeX's commands with n, but for those whose rest is a word: a line break before "less",
     * "mid" or "parallel" is meant as one. */
    static const char *const names[] = {
        "abla",      "atural",    "cong",   "e",        "earrow", "eg",       "eq",
        "ewcommand", "ewline",    "ewpage", "exists",   "geq",    "geqslant", "gtr",
        "i",         "leftarrow", "leq",    "leqslant", "obreak", "oindent",  "olimits",
        "onumber",   "ormalsize", "ot",     "otag",     "otin",   "prec",     "rightarrow",
        "sim",       "subseteq",  "succ",   "supseteq", "u",      "vdash",    "warrow"};
    size_t length = 0;
    while (isalpha((unsigned char)rest[length]))
        length++;
    if (letter == 't')
        return length > 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], rest, length) == 0)
            return true;
    return false;
}

/* The escape at scan->at, which is a backslash; what follows it is there. */
static enum status check_escape(const struct scan *scan, const char *from) {
    static const struct {
        char letter, *character, *number;
    } escapes[] = {
        {'a', "a bell", "07"},        {'b', "a backspace", "08"},       {'f', "a form feed", "0c"},
        {'n', "a line break", "0a"},  {'r', "a carriage return", "0d"}, {'t', "a tab", "09"},
        {'v', "a vertical tab", "0b"}};
    const char letter = scan->at[1];
    if (starts_with(scan, "\\x00"))
        return WRONG(scan, "a text cannot hold the character %s", "\\x00");
    size_t i = 0;
    while (i < sizeof escapes / sizeof *escapes && escapes[i].letter != letter)
        i++;
    const bool common = letter == 'n' || letter == 't';
    if (i == sizeof escapes / sizeof *escapes || (common && !scan_is_command(letter, scan->at + 2)))
        return STATUS_OK;
    struct scan here = *scan; /* the line of the escape, not of the quote */
    count_lines(&here, from);
    size_t length = 0;
    while (isalpha((unsigned char)scan->at[1 + length]))
        length++;
    const int shown = length < 20 ? (int)length : 20;
    return WRONG(&here,
                 "\"\\%.*s\" in a text would become %s and \"%.*s\": write \"\\\\%.*s\" for a "
                 "backslash, or \"\\x%s\" where %s is meant",
                 shown, scan->at + 1, escapes[i].character, shown - 1, scan->at + 2, shown,
                 scan->at + 1, escapes[i].number, escapes[i].character);
}

static enum status skip_quoted(struct scan *scan) {
    const char *const from = scan->at++;
    char quoted[STATUS_QUOTE_MAX];
    while (scan->at < scan->end && *scan->at != '"') {
        const bool escape = *scan->at == '\\' && scan->at + 1 < scan->end;
        if (escape)
            TRY(check_escape(scan, from));
        scan->at += escape ? 2 : 1;
    }
    if (scan->at >= scan->end)
        return WRONG(scan, "the text that begins here has no closing quote: %s",
                     status_quote(quoted, from, strcspn(from, "\r\n")));
    scan->at++;
    count_lines(scan, from);
    return STATUS_OK;
}

static bool is_number_part(const struct scan *scan, const char *start, bool hexadecimal) {
    if (isalnum((unsigned char)*scan->at) || *scan->at == '.')
        return true;
    const bool sign = *scan->at == '+' || *scan->at == '-';
    return sign && scan->at > start && !hexadecimal && tolower((unsigned char)scan->at[-1]) == 'e';
}

/* An integer gets its L, unless it has one; a real passes as it is. */
static enum status pass_number(struct scan *scan, struct strbuf *out) {
    const char *const start = scan->at;
    const char *const digits = start + (*start == '+' || *start == '-');
    const bool hexadecimal = digits[0] == '0' && tolower((unsigned char)digits[1]) == 'x';
    scan->at = digits;
    while (is_number_part(scan, digits, hexadecimal))
        scan->at++;
    char *end, quoted[STATUS_QUOTE_MAX];
    errno = 0;
    (void)strtoll(start, &end, hexadecimal ? 16 : 10);
    const bool fits = errno != ERANGE;
    while (*end == 'l' || *end == 'L')
        end++;
    if (end != scan->at || end == digits)
        return strbuf_append(out, start, (size_t)(scan->at - start));
    if (!fits)
        return WRONG(scan, "the integer %s does not fit into 64 bits",
                     status_quote(quoted, start, (size_t)(scan->at - start)));
    while (end[-1] == 'l' || end[-1] == 'L')
        end--;
    TRY(strbuf_append(out, start, (size_t)(end - start)));
    return strbuf_append_text(out, "L");
}

/* A word is a name when = or : follows, else a value. */
static enum status pass_word(struct scan *scan, struct strbuf *out) {
    const char *const start = scan->at;
    while (isalnum((unsigned char)*scan->at) || (*scan->at != '\0' && strchr("-_*.", *scan->at)))
        scan->at++;
    const size_t length = (size_t)(scan->at - start);
    const char *after = scan->at;
    while (isspace((unsigned char)*after))
        after++;
    const bool value = scan->before != '\0' && strchr("=:[(,", scan->before) != NULL &&
                       *after != '=' && *after != ':';
    const bool truth = (length == 4 && strncasecmp(start, "true", 4) == 0) ||
                       (length == 5 && strncasecmp(start, "false", 5) == 0);
    char quoted[STATUS_QUOTE_MAX];
    if (value && !truth)
        return WRONG(scan,
                     "%s is no value: texts stand in quotes, truth is true or false, numbers are "
                     "finite",
                     status_quote(quoted, start, length));
    return strbuf_append(out, start, length);
}

static enum status pass_token(struct scan *scan, struct strbuf *out) {
    const char *const start = scan->at;
    const char c = *start;
    if (starts_with(scan, "@include"))
        return WRONG(scan, "%s is not allowed: an input file is one file", "@include");
    if (isdigit((unsigned char)c) || c == '+' || c == '-' || c == '.')
        return pass_number(scan, out);
    if (isalpha((unsigned char)c) || c == '*')
        return pass_word(scan, out);
    if (c == '#' || starts_with(scan, "//"))
        skip_line(scan);
    else if (starts_with(scan, "/*"))
        TRY(skip_comment(scan));
    else if (c == '"')
        TRY(skip_quoted(scan));
    else
        scan->at++;
    if (c == '\n')
        scan->line++;
    return strbuf_append(out, start, (size_t)(scan->at - start));
}

enum status scan_text(const char *where, bool has_lines, const char *text, size_t length,
                      struct strbuf *out) {
    struct scan scan = {
        .where = where, .has_lines = has_lines, .at = text, .end = text + length, .line = 1};
    const char *const zero = memchr(text, '\0', length);
    if (zero != NULL) {
        scan.at = zero;
        count_lines(&scan, text);
        return WRONG(&scan, "byte %zu is zero; this is not a text file", (size_t)(zero - text) + 1);
    }
    while (scan.at < scan.end) {
        const char *const start = scan.at;
        TRY(pass_token(&scan, out));
        const bool comment = *start == '#' || (*start == '/' && scan.at > start + 1);
        if (!comment && !isspace((unsigned char)*start))
            scan.before = scan.at[-1];
    }
    return STATUS_OK;
}
