/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/extract.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "answer/running.h"

static const char *const words[] = {
#define X(name, word) word,
    ANSWER_PLACES(X)
#undef X
};

const char *answer_place_word(enum answer_place place) {
    return words[place];
}

enum answer_place answer_place_find(const char *word) {
    int place = 0;
    while (place < ANSWER_PLACE_COUNT && strcmp(words[place], word) != 0)
        place++;
    return (enum answer_place)place;
}

static bool stands(struct span text, size_t i, const char *word) {
    return i <= text.length && span_begins(span_part(text, i, text.length), word);
}

/* --- boxes --- */

enum { OPEN_BOXES = 16 };

/* Boxes that are open; of more than OPEN_BOXES inside each other the inner ones do not count. */
struct boxes {
    struct box {
        size_t command, content; /* where they begin */
        int64_t depth;
    } open[OPEN_BOXES];
    int count;
    size_t begin, end; /* of the last closed one's content */
    size_t command;    /* its \boxed, or that of the first of several which it ends */
    bool found, several;
};

/* Whether boxes with this between them are one answer: \boxed{1} and \boxed{2}. */
static bool joins(struct span between) {
    if (between.length > 40)
        return false;
    for (size_t i = 0; i < between.length; i++) {
        if (stands(between, i, "and") || stands(between, i, "or")) {
            i += stands(between, i, "and") ? 2 : 1;
            continue;
        }
        if (stands(between, i, "text"))
            i += 4;
        if (strchr(" \n\t,;$\\{}()[]&", span_at(between, i)) == NULL)
            return false;
    }
    return true;
}

static void close_box(struct span text, struct boxes *boxes, size_t end) {
    const struct box *box = &boxes->open[--boxes->count];
    const struct span before = span_part(text, boxes->begin, boxes->end);
    const bool next = boxes->found && box->command > boxes->end &&
                      joins(span_part(text, boxes->end + 1, box->command)) &&
                      !span_equal(before, span_part(text, box->content, end));
    boxes->several = next;
    boxes->command = next ? boxes->command : box->command;
    boxes->begin = box->content;
    boxes->end = end;
    boxes->found = true;
}

/* At a command; where to go on. */
static size_t open_box(struct span text, size_t i, int64_t depth, struct boxes *boxes) {
    size_t open = i + (stands(text, i, "\\boxed") ? 6 : stands(text, i, "\\fbox") ? 5 : 0);
    if (open == i)
        return i + 2; /* \{ and the like */
    while (byte_is_blank(span_at(text, open)))
        open++;
    if (span_at(text, open) != '{' || boxes->count == OPEN_BOXES)
        return open;
    boxes->open[boxes->count++] = (struct box){i, open + 1, depth + 1};
    return open;
}

static bool find_boxed(struct span text, struct span *out) {
    struct boxes boxes = {.count = 0};
    int64_t depth = 0;
    for (size_t i = 0; i < text.length;) {
        const char c = text.text[i];
        if (c == '\\') {
            i = open_box(text, i, depth, &boxes);
            continue;
        }
        depth += c == '{';
        if (c == '}' && boxes.count > 0 && boxes.open[boxes.count - 1].depth == depth)
            close_box(text, &boxes, i);
        depth -= c == '}' && depth > 0;
        i++;
    }
    if (boxes.found)
        *out = boxes.several ? span_part(text, boxes.command, boxes.end + 1)
                             : span_part(text, boxes.begin, boxes.end);
    return boxes.found;
}

/* --- blocks between tags --- */

bool extract_tags_make(const char *name, struct extract_tags *out) {
    const size_t length = strlen(name);
    if (length < 1 || length > EXTRACT_NAME_MOST || strpbrk(name, "<>/ \t\r\n") != NULL)
        return false;
    snprintf(out->open, sizeof out->open, "<%s>", name);
    snprintf(out->close, sizeof out->close, "</%s>", name);
    return true;
}

bool extract_block(struct span text, const struct extract_tags *tags, struct span *out) {
    bool found = false;
    size_t open = SIZE_MAX;
    for (size_t i = span_find(text, "<", 0); i != SIZE_MAX; i = span_find(text, "<", i + 1)) {
        if (stands(text, i, tags->open)) {
            open = i + strlen(tags->open);
        } else if (open != SIZE_MAX && stands(text, i, tags->close)) {
            *out = span_part(text, open, i);
            found = true;
            open = SIZE_MAX;
        }
    }
    return found;
}

/* --- #### --- */

static size_t line_end(struct span text, size_t from) {
    const char *end =
        from < text.length ? memchr(text.text + from, '\n', text.length - from) : NULL;
    return end == NULL ? text.length : (size_t)(end - text.text);
}

static bool find_hashes(struct span text, struct span *out) {
    size_t last = SIZE_MAX;
    for (size_t i = span_find(text, "####", 0); i != SIZE_MAX; i = span_find(text, "####", i + 4))
        last = i + 4;
    if (last != SIZE_MAX)
        *out = span_part(text, last, line_end(text, last));
    return last != SIZE_MAX;
}

/* --- "the answer is" --- */

static bool stands_folded(struct span text, size_t i, const char *word) {
    for (; *word != '\0'; word++, i++)
        if ((span_at(text, i) | 0x20) != *word)
            return false;
    return true;
}

/* Behind "answer is", "answers are", "answer:", "answer =" at i; i when nothing of it stands there. */
static size_t phrase_end(struct span text, size_t i) {
    static const char *const verbs[] = {"is", "are"};
    if (!stands_folded(text, i, "answer"))
        return i;
    size_t end = i + strlen("answer");
    end += (span_at(text, end) | 0x20) == 's';
    while (byte_is_blank(span_at(text, end)) || span_at(text, end) == '*')
        end++;
    bool verb = false;
    for (size_t k = 0; k < 2 && !verb; k++)
        if (stands_folded(text, end, verbs[k]) &&
            !byte_is_letter(span_at(text, end + strlen(verbs[k])))) {
            end += strlen(verbs[k]);
            verb = true;
        }
    while (byte_is_blank(span_at(text, end)) || span_at(text, end) == '*')
        end++;
    const bool sign = span_at(text, end) == ':' || span_at(text, end) == '=';
    return verb || sign ? end + sign : i;
}

/* Up to the end of the sentence: a line end, or a point that no digit follows. Formulas between
 * $ are whole. */
static size_t sentence_end(struct span text, size_t from) {
    bool formula = false;
    for (size_t i = from; i < text.length; i++) {
        const char c = text.text[i];
        formula ^= c == '$' && (i == from || text.text[i - 1] != '\\');
        if (formula)
            continue;
        if (c == '\n' ||
            (c == '.' && (i + 1 == text.length || byte_is_blank(span_at(text, i + 1)))))
            return i;
    }
    return text.length;
}

static bool find_phrase(struct span text, struct span *out) {
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < text.length; i++)
        if ((text.text[i] | 0x20) == 'a' && phrase_end(text, i) > i)
            last = phrase_end(text, i);
    if (last == SIZE_MAX)
        return false;
    while (byte_is_blank(span_at(text, last)) || span_at(text, last) == '*')
        last++;
    *out = span_part(text, last, sentence_end(text, last));
    return span_trim(*out).length > 0;
}

bool answer_extract(struct span text, enum answer_place place, const struct extract_tags *block,
                    struct span *out) {
    struct span inner;
    bool found = false;
    switch (place) {
    case ANSWER_BOXED:
        return find_boxed(text, out);
    case ANSWER_BLOCK:
        found = extract_block(text, block, out);
        break;
    case ANSWER_HASHES:
        found = find_hashes(text, out);
        break;
    case ANSWER_PHRASE:
        found = find_phrase(text, out);
        break;
    default:
        return running_last(text, out);
    }
    if (found && find_boxed(*out, &inner))
        *out = inner;
    return found;
}
