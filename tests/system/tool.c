/* SPDX-License-Identifier: Apache-2.0
 *
 * What the system tests ask of HDF5 files:
 *
 *     same A B [WORD...]               0 when both hold the same datasets with the same bits; those
 *                                      with a WORD in their name are not looked at
 *     value FILE PATH [ROW [COLUMN]]   one number, with all its digits
 *     sum FILE PATH [ROW]              of the numbers of a row
 *     rows FILE PATH OFFSETS           a ragged array, a line for each row: numbers, or text
 *     json FILE PATH OFFSETS [TAG WITHOUT]  texts as {"text": …}, a line each: what stands behind the
 *                                      first TAG and white space; where there is none, all or nothing
 *     positions ROLLOUT                two counts of token positions: prompts and answers, as
 *                                      training computes them; and without each answer's last
 *                                      token, as decoding does
 *     prompts ROLLOUT...               a line "source row" for each prompt
 *     finite DIAGNOSTICS [NAME...]     0 when every number of every finished step and pass is
 *                                      finite; a NaN is allowed in the metrics named, GROUP/
 *                                      for all in it
 *     list FILE GROUP                  the paths of the datasets below a group
 *     described FILE...                0 when every dataset says its units and what it is
 *     make FILE PATH COLUMNS NUMBER... writes one: integers in a row where COLUMNS is 0, else rows of floats
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "file/h5.h"

enum { PATH_BYTES = 512 };

/* A whole dataset as bytes; the caller releases them. */
static enum status read_bytes(const struct h5 *h5, const char *path, struct h5_shape *shape,
                              char **bytes, int64_t *count) {
    TRY(h5_shape(h5, path, shape));
    if (shape->is_text) {
        struct strbuf text = STRBUF_EMPTY;
        int64_t stride, n;
        if (shape->rank > 0) {
            TRY(h5_get_texts(h5, path, bytes, &stride, &n));
            *count = stride * n;
            return STATUS_OK;
        }
        TRY(h5_get_text(h5, path, &text));
        *count = (int64_t)text.length;
        *bytes = text.text;
        return STATUS_OK;
    }
    *count = shape->elements * h5_kind_bytes(shape->kind);
    TRY(memory_new(bytes, *count, path));
    return h5_get(h5, path, shape->kind, 0, shape->rank == 2 ? shape->sizes[0] : shape->elements,
                  *bytes);
}

/* --- same --- */

struct comparison {
    const struct h5 *a, *b; /* every dataset of a is looked for in b */
    char **words;
    int word_count;
    bool names_only;
};

static bool is_left_out(const struct comparison *with, const char *path) {
    for (int i = 0; i < with->word_count; i++)
        if (strstr(path, with->words[i]) != NULL)
            return true;
    return false;
}

static enum status compare_bytes(const struct comparison *with, const char *path) {
    struct h5_shape shape_a, shape_b;
    char *a = NULL, *b = NULL;
    int64_t n_a = 0, n_b = 0;
    enum status status;
    TRY_ELSE(status, done, read_bytes(with->a, path, &shape_a, &a, &n_a));
    TRY_ELSE(status, done, read_bytes(with->b, path, &shape_b, &b, &n_b));
    if (shape_a.kind != shape_b.kind || shape_a.rank != shape_b.rank || n_a != n_b)
        status = FAIL(STATUS_INPUT, "%s has another shape", path);
    for (int64_t i = 0; status == STATUS_OK && i < n_a; i++)
        if (a[i] != b[i])
            status = FAIL(STATUS_INPUT, "%s differs first in byte %" PRId64 " of %" PRId64, path, i,
                          n_a);
done:
    memory_release(&a);
    memory_release(&b);
    return status;
}

static enum status compare_dataset(void *context, const char *path) {
    const struct comparison *with = context;
    if (is_left_out(with, path))
        return STATUS_OK;
    if (!h5_has(with->b, path))
        return FAIL(STATUS_INPUT, "%s is in one of them only", path);
    return with->names_only ? STATUS_OK : compare_bytes(with, path);
}

static enum status compare_open(struct h5 *a, struct h5 *b, char **words, int word_count) {
    struct comparison with = {.a = a, .b = b, .words = words, .word_count = word_count};
    TRY(h5_walk(a, "/", compare_dataset, &with));
    struct comparison back = {
        .a = b, .b = a, .words = words, .word_count = word_count, .names_only = true};
    return h5_walk(b, "/", compare_dataset, &back);
}

static enum status same(char **arguments, int count) {
    struct h5 *a = NULL, *b = NULL;
    enum status status = h5_open(&a, arguments[0]);
    if (status == STATUS_OK)
        status = h5_open(&b, arguments[1]);
    if (status == STATUS_OK)
        status = compare_open(a, b, arguments + 2, count - 2);
    (void)h5_close(&a);
    (void)h5_close(&b);
    return status;
}

/* --- value --- */

static double number_at(const char *bytes, enum h5_kind kind, int64_t at) {
    switch (kind) {
    case H5_KIND_U8:
        return ((const unsigned char *)bytes)[at];
    case H5_KIND_I32:
        return ((const int32_t *)(const void *)bytes)[at];
    case H5_KIND_I64:
        return (double)((const int64_t *)(const void *)bytes)[at];
    case H5_KIND_F32:
        return (double)((const float *)(const void *)bytes)[at];
    case H5_KIND_F64:
        break;
    }
    return ((const double *)(const void *)bytes)[at];
}

static enum status print_value(const struct h5 *h5, const char *path, int64_t row, int64_t column) {
    struct h5_shape shape;
    char *bytes = NULL;
    int64_t count;
    TRY(read_bytes(h5, path, &shape, &bytes, &count));
    const int64_t at = row * (shape.rank == 2 ? shape.sizes[1] : 1) + column;
    enum status status = STATUS_OK;
    if (shape.is_text || at < 0 || at >= shape.elements)
        status = FAIL(STATUS_INPUT, "%s has no such number", path);
    else
        printf("%.17g\n", number_at(bytes, shape.kind, at));
    memory_release(&bytes);
    return status;
}

static enum status value(char **arguments, int count) {
    struct h5 *h5;
    TRY(h5_open(&h5, arguments[0]));
    const enum status status =
        print_value(h5, arguments[1], count > 2 ? strtoll(arguments[2], NULL, 10) : 0,
                    count > 3 ? strtoll(arguments[3], NULL, 10) : 0);
    (void)h5_close(&h5);
    return status;
}

static enum status print_sum(const struct h5 *h5, const char *path, int64_t row) {
    struct h5_shape shape;
    char *bytes = NULL;
    int64_t count;
    double total = 0;
    TRY(read_bytes(h5, path, &shape, &bytes, &count));
    const int64_t width = shape.rank == 2 ? shape.sizes[1] : shape.elements;
    enum status status = STATUS_OK;
    if (shape.is_text || row < 0 || (row + 1) * width > shape.elements)
        status = FAIL(STATUS_INPUT, "%s has no such row", path);
    for (int64_t i = 0; status == STATUS_OK && i < width; i++)
        total += number_at(bytes, shape.kind, row * width + i);
    if (status == STATUS_OK)
        printf("%.17g\n", total);
    memory_release(&bytes);
    return status;
}

static enum status sum(char **arguments, int count) {
    struct h5 *h5;
    TRY(h5_open(&h5, arguments[0]));
    const enum status status =
        print_sum(h5, arguments[1], count > 2 ? strtoll(arguments[2], NULL, 10) : 0);
    (void)h5_close(&h5);
    return status;
}

/* --- positions, prompts --- */

static enum status print_positions(const struct h5 *h5) {
    struct h5_shape prompts, answers, groups;
    TRY(h5_shape(h5, "/prompt/token_ids", &prompts));
    TRY(h5_shape(h5, "/answer/token_ids", &answers));
    TRY(h5_shape(h5, "/answer/group", &groups));
    printf("%" PRId64 " %" PRId64 "\n", prompts.elements + answers.elements,
           prompts.elements + answers.elements - groups.elements);
    return STATUS_OK;
}

static enum status print_prompts(const struct h5 *h5) {
    int32_t *sources = NULL;
    int64_t *rows = NULL, n;
    enum status status;
    TRY_ELSE(status, done, h5_get_list(h5, "/prompt/source", H5_KIND_I32, &sources, &n));
    TRY_ELSE(status, done, h5_get_list(h5, "/prompt/row", H5_KIND_I64, &rows, &n));
    for (int64_t i = 0; i < n; i++)
        printf("%" PRId32 " %" PRId64 "\n", sources[i], rows[i]);
done:
    memory_release(&sources);
    memory_release(&rows);
    return status;
}

static enum status each_file(char **files, int count, enum status (*print)(const struct h5 *h5)) {
    for (int i = 0; i < count; i++) {
        struct h5 *h5;
        TRY(h5_open(&h5, files[i]));
        const enum status status = print(h5);
        (void)h5_close(&h5);
        TRY(status);
    }
    return STATUS_OK;
}

static enum status positions(char **arguments, int count) {
    return each_file(arguments, count, print_positions);
}

static enum status prompts(char **arguments, int count) {
    return each_file(arguments, count, print_prompts);
}

/* --- rows --- */

/* Bytes are text, but for those that belong to a token. */
static bool is_text(const char *path, enum h5_kind kind) {
    return kind == H5_KIND_U8 && strncmp(path, "/token/", sizeof "/token/" - 1) != 0;
}

static void print_row(const char *bytes, enum h5_kind kind, bool text, int64_t begin, int64_t end) {
    if (text)
        fwrite(bytes + begin, 1, (size_t)(end - begin), stdout);
    for (int64_t i = begin; !text && i < end; i++)
        printf("%s%.9g", i > begin ? " " : "", number_at(bytes, kind, i));
    putchar('\n');
}

static enum status rows(char **arguments, int count) {
    struct h5 *h5;
    struct h5_shape shape;
    char *bytes = NULL;
    int64_t *offsets = NULL, n, size;
    enum status status;
    (void)count;
    TRY(h5_open(&h5, arguments[0]));
    TRY_ELSE(status, done, read_bytes(h5, arguments[1], &shape, &bytes, &size));
    TRY_ELSE(status, done, h5_get_list(h5, arguments[2], H5_KIND_I64, &offsets, &n));
    for (int64_t i = 0; i + 1 < n; i++)
        print_row(bytes, shape.kind, is_text(arguments[1], shape.kind), offsets[i], offsets[i + 1]);
done:
    memory_release(&bytes);
    memory_release(&offsets);
    (void)h5_close(&h5);
    return status;
}

/* --- texts as JSON --- */

static void print_json(const char *text, size_t n) {
    printf("{\"text\": \"");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == '"' || text[i] == '\\')
            printf("\\u%04x", (unsigned)(unsigned char)text[i]);
        else
            putchar(text[i]);
    printf("\"}\n");
}

static size_t behind(const char *text, size_t n, const char *tag, const char *without) {
    const size_t length = strlen(tag);
    for (size_t at = 0; at + length <= n; at++)
        if (memcmp(text + at, tag, length) == 0) {
            at += length;
            while (at < n && memchr(" \n\t\r", text[at], 4) != NULL)
                at++;
            return at;
        }
    return strcmp(without, "all") == 0 ? 0 : n;
}

static enum status json(char **arguments, int count) {
    struct h5 *h5;
    struct h5_shape shape;
    char *bytes = NULL;
    int64_t *offsets = NULL, n, size;
    enum status status;
    TRY(h5_open(&h5, arguments[0]));
    TRY_ELSE(status, done, read_bytes(h5, arguments[1], &shape, &bytes, &size));
    TRY_ELSE(status, done, h5_get_list(h5, arguments[2], H5_KIND_I64, &offsets, &n));
    for (int64_t i = 0; i + 1 < n; i++) {
        const char *const text = bytes + offsets[i];
        const size_t length = (size_t)(offsets[i + 1] - offsets[i]),
                     from = count > 4 ? behind(text, length, arguments[3], arguments[4]) : 0;
        print_json(text + from, length - from);
    }
done:
    memory_release(&bytes);
    memory_release(&offsets);
    (void)h5_close(&h5);
    return status;
}

/* --- finite --- */

struct scan {
    const struct h5 *h5;
    int64_t valid;
    char **allowed;
    int allowed_count;
};

/* NAME of /step/NAME or /pass/NAME; GROUP/ allows all in it. */
static bool may_be_nan(const struct scan *scan, const char *path) {
    const char *name = path + sizeof "/step/" - 1;
    for (int i = 0; i < scan->allowed_count; i++) {
        const size_t length = strlen(scan->allowed[i]);
        const bool group = length > 0 && scan->allowed[i][length - 1] == '/';
        if (strncmp(name, scan->allowed[i], length) == 0 && (group || name[length] == '\0'))
            return true;
    }
    return false;
}

static enum status scan_dataset(void *context, const char *path) {
    const struct scan *scan = context;
    struct h5_shape shape;
    char *bytes = NULL;
    int64_t count;
    enum status status;
    TRY_ELSE(status, done, read_bytes(scan->h5, path, &shape, &bytes, &count));
    const int64_t width = shape.rank == 2 ? shape.sizes[1] : 1;
    for (int64_t i = 0; status == STATUS_OK && shape.rank > 0 && i < scan->valid * width; i++) {
        const double number = number_at(bytes, shape.kind, i);
        if (isinf(number) || (isnan(number) && !may_be_nan(scan, path)))
            status = FAIL(STATUS_INPUT, "%s has %g in step %" PRId64, path, number, i / width + 1);
    }
done:
    memory_release(&bytes);
    return status;
}

static enum status finite(char **arguments, int count) {
    struct h5 *h5;
    TRY(h5_open(&h5, arguments[0]));
    struct scan scan = {.h5 = h5, .allowed = arguments + 1, .allowed_count = count - 1};
    enum status status = h5_get_integer(h5, "/step/valid", &scan.valid);
    if (status == STATUS_OK && scan.valid < 1)
        status = FAIL(STATUS_INPUT, "%s holds no step", arguments[0]);
    if (status == STATUS_OK)
        status = h5_walk(h5, "/step", scan_dataset, &scan);
    if (status == STATUS_OK)
        status = h5_walk(h5, "/pass", scan_dataset, &scan);
    (void)h5_close(&h5);
    return status;
}

/* --- list --- */

static enum status print_path(void *context, const char *path) {
    (void)context;
    printf("%s\n", path);
    return STATUS_OK;
}

static enum status list(char **arguments, int count) {
    (void)count;
    struct h5 *h5;
    TRY(h5_open(&h5, arguments[0]));
    const enum status status = h5_walk(h5, arguments[1], print_path, NULL);
    (void)h5_close(&h5);
    return status;
}

/* --- described --- */

static enum status check_description(void *context, const char *path) {
    static const char *const names[] = {"units", "description"};
    enum status status = STATUS_OK;
    for (int i = 0; i < 2 && status == STATUS_OK; i++) {
        struct strbuf text = STRBUF_EMPTY;
        status = h5_get_attribute(context, path, names[i], &text);
        if (status == STATUS_OK && text.length == 0)
            status = FAIL(STATUS_INPUT, "%s has no %s", path, names[i]);
        strbuf_release(&text);
    }
    return status;
}

/* 0 when every dataset of the files says its units and what it is. */
static enum status described(char **files, int count) {
    for (int i = 0; i < count; i++) {
        struct h5 *h5;
        TRY(h5_open(&h5, files[i]));
        const enum status status = h5_walk(h5, "/", check_description, h5);
        (void)h5_close(&h5);
        TRY(status);
    }
    return STATUS_OK;
}

/* --- make --- */

static enum status fill(struct h5 *h5, const char *path, int64_t columns, char **numbers,
                        int count) {
    int64_t integers[256] = {0};
    float floats[256] = {0};
    const int64_t sizes[2] = {columns > 0 ? count / columns : count, columns};
    ASSERT(count <= 256);
    for (int i = 0; i < count; i++) {
        integers[i] = columns == 0 ? strtoll(numbers[i], NULL, 10) : 0;
        floats[i] = strtof(numbers[i], NULL);
    }
    if (columns == 0)
        return h5_put_list(h5, path, H5_KIND_I64, count, integers);
    return h5_put(h5, path, H5_KIND_F32, H5_STORAGE_PACKED, 2, sizes, floats);
}

static enum status make(char **arguments, int count) {
    struct h5 *h5;
    TRY(h5_create(&h5, H5_FORMAT_CHECKED));
    const enum status status =
        fill(h5, arguments[1], strtoll(arguments[2], NULL, 10), arguments + 3, count - 3);
    if (status == STATUS_OK)
        return h5_save(&h5, arguments[0]);
    (void)h5_close(&h5);
    return status;
}

/* --- the program --- */

static const struct {
    const char *name;
    int least; /* arguments */
    enum status (*run)(char **arguments, int count);
} questions[] = {{"same", 2, same},
                 {"value", 2, value},
                 {"positions", 1, positions},
                 {"prompts", 1, prompts},
                 {"rows", 3, rows},
                 {"finite", 1, finite},
                 {"list", 2, list},
                 {"described", 1, described},
                 {"sum", 2, sum},
                 {"make", 3, make},
                 {"json", 3, json}};

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (argc - 2 >= questions[i].least && strcmp(argv[1], questions[i].name) == 0) {
            const enum status status = questions[i].run(argv + 2, argc - 2);
            if (status != STATUS_OK)
                fprintf(stderr, "%s: %s\n", argv[1], status_sentence());
            return status == STATUS_OK ? 0 : 1;
        }
    fprintf(
        stderr,
        "usage: tool same|value|sum|rows|json|positions|prompts|finite|list|described|make FILE [...]\n");
    return 2;
}
