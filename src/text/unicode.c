/* SPDX-License-Identifier: Apache-2.0 */
#include "text/unicode.h"

#include <utf8proc.h>

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

#define LONGEST_DECOMPOSITION 8 /* canonical ones have at most 4 characters */

bool unicode_is_word(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* joiners, and the circled letters that Unicode calls alphabetic */
        return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
               (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
               (c >= 0x1f170 && c <= 0x1f189);
    }
}

bool unicode_is_plain(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] >= 0xcc)
            return false;
    return true;
}

/* Characters that stand for themselves, so that texts are composed between them: U+11A7, which
 * utf8proc takes for a Hangul trailing consonant and composes away (the first one is U+11A8), and
 * those younger than Unicode 9 that later versions reorder or compose. `tokenizers` normalizes
 * by Unicode 9. Whole blocks stand here where all of a block is younger. */
static const struct {
    int32_t first, last;
} apart[] = {
    {0x07fd, 0x07fd},   {0x0897, 0x089f},   {0x08ca, 0x08d3},   {0x09fe, 0x09fe},
    {0x0c3c, 0x0c3c},   {0x0d3b, 0x0d3c},   {0x0eba, 0x0eba},   {0x11a7, 0x11a7},
    {0x1715, 0x1715},   {0x1abf, 0x1aff},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},
    {0x105c0, 0x105ff}, {0x10d24, 0x10d27}, {0x10d40, 0x10d8f}, {0x10eab, 0x10eac},
    {0x10efa, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070},
    {0x1133b, 0x1133b}, {0x11380, 0x113ff}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11900, 0x1195f}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47},
    {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97},
    {0x11f00, 0x11f5f}, {0x16100, 0x1613f}, {0x16d40, 0x16d7f}, {0x16ff0, 0x16ff1},
    {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef},
    {0x1e4ec, 0x1e4ef}, {0x1e5d0, 0x1e5ff}, {0x1e6c0, 0x1e6ff},
};

static bool stands_apart(int32_t character) {
    size_t low = 0, high = sizeof apart / sizeof *apart;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (character > apart[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof apart / sizeof *apart && character >= apart[low].first;
}

/* The text up to its first character of these, and that character. */
static size_t old_length(const char *text, size_t length, size_t *step) {
    size_t at = 0;
    for (; at < length; at += *step) {
        int32_t character;
        *step = utf8_step(text + at, length - at, &character);
        if (stands_apart(character))
            return at;
    }
    *step = 0;
    return at;
}

struct points { /* code points; owns values */
    int32_t *values;
    size_t count, capacity;
};

static enum status decompose(const char *text, size_t length, struct points *points) {
    for (size_t at = 0; at < length;) {
        int32_t character;
        int boundary = 0;
        at += utf8_step(text + at, length - at, &character);
        if (points->count + LONGEST_DECOMPOSITION > points->capacity) {
            const size_t capacity = 2 * points->capacity + length - at + LONGEST_DECOMPOSITION;
            TRY(memory_grow(&points->values, capacity, "normal form C"));
            points->capacity = capacity;
        }
        const utf8proc_ssize_t count =
            utf8proc_decompose_char(character, points->values + points->count,
                                    LONGEST_DECOMPOSITION, UTF8PROC_DECOMPOSE, &boundary);
        ASSERT(count >= 0 && count <= LONGEST_DECOMPOSITION);
        points->count += (size_t)count;
    }
    return STATUS_OK;
}

static unsigned class_of(int32_t character) {
    return (unsigned)utf8proc_get_property(character)->combining_class;
}

/* Sorts a run of marks by class, equal ones in their order: by counting, since a text may be one
 * long run (utf8proc's own reordering takes the square of its length). */
static void sort_marks(int32_t *marks, size_t count, int32_t *scratch) {
    size_t starts[257] = {0};
    for (size_t i = 0; i < count; i++)
        starts[class_of(marks[i]) + 1]++;
    for (size_t c = 0; c < 256; c++)
        starts[c + 1] += starts[c];
    for (size_t i = 0; i < count; i++)
        scratch[starts[class_of(marks[i])]++] = marks[i];
    memcpy(marks, scratch, count * sizeof *marks);
}

static enum status reorder(struct points *points) {
    int32_t *scratch = NULL;
    enum status status = STATUS_OK;
    for (size_t start = 0, stop; start < points->count; start = stop + 1) {
        for (stop = start; stop < points->count && class_of(points->values[stop]) != 0; stop++) {
        }
        if (stop - start < 2)
            continue;
        if (scratch == NULL)
            status = memory_new(&scratch, points->count, "normal form C");
        if (status != STATUS_OK)
            return status;
        sort_marks(points->values + start, stop - start, scratch);
    }
    memory_release(&scratch);
    return STATUS_OK;
}

static enum status compose_points(struct points *points, struct strbuf *out) {
    TRY(reorder(points));
    const utf8proc_ssize_t count = utf8proc_normalize_utf32(
        points->values, (utf8proc_ssize_t)points->count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; i < count; i++)
        TRY(utf8_append(points->values[i], out));
    return STATUS_OK;
}

static enum status compose_old(const char *text, size_t length, struct strbuf *out) {
    struct points points = {.count = 0};
    enum status status = decompose(text, length, &points);
    if (status == STATUS_OK)
        status = compose_points(&points, out);
    memory_release(&points.values);
    return status;
}

enum status unicode_compose(const char *text, size_t length, struct strbuf *out) {
    while (length > 0) {
        size_t step;
        const size_t old = old_length(text, length, &step);
        TRY(compose_old(text, old, out));
        TRY(strbuf_append(out, text + old, step));
        text += old + step;
        length -= old + step;
    }
    return STATUS_OK;
}
