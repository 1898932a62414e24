/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/plain.h"

#include "answer/tree.h"
#include "answer/vocabulary.h"
#include "base/utf8.h"

/* A walk over a text. Braces of \text{…} are left out together: a bit for each level that is. */
struct walk {
    struct span text;
    size_t at;
    int depth;
    uint64_t hidden;
    struct span left; /* of what was read, still to be given */
};

/* What TeX leaves white, and the signs of a formula. */
static bool is_nothing(char c) {
    return byte_is_blank(c) || c == '~' || c == '$';
}

static bool enter(struct walk *walk, bool hide) {
    const uint64_t bit = walk->depth < 64 ? (uint64_t)1 << walk->depth : 0;
    walk->depth++;
    walk->hidden = hide ? walk->hidden | bit : walk->hidden & ~bit;
    return !hide;
}

static bool leave(struct walk *walk) {
    if (walk->depth > 0)
        walk->depth--;
    return walk->depth >= 64 || (walk->hidden >> walk->depth & 1) == 0;
}

/* At a backslash: the command's name stays, unless it only shapes. */
static void take_command(struct walk *walk) {
    const struct span text = walk->text;
    const size_t begin = walk->at;
    size_t end = begin + 1;
    while (end < text.length && byte_is_letter(text.text[end]))
        end++;
    end += end == begin + 1 && end < text.length;
    const struct span name = {text.text + begin + 1, end - begin - 1};
    const struct word *word = name.length > 0 ? vocabulary_command(name) : NULL;
    const bool style = word != NULL && (word->kind == WORD_STYLE || word->kind == WORD_STYLE_TEXT);
    walk->at = end;
    if (style && end < text.length && text.text[end] == '{') {
        enter(walk, true);
        walk->at++;
    }
    if (word != NULL && word->kind == TOKEN_FRACTION)
        walk->left = (struct span){"\\frac", 5};
    else if (!style && (word == NULL || word->kind != WORD_SPACE))
        walk->left = (struct span){text.text + begin, end - begin};
}

/* The next byte that counts, −1 at the end. */
static int next(struct walk *walk) {
    while (walk->left.length == 0) {
        if (walk->at >= walk->text.length)
            return -1;
        const char *c = walk->text.text + walk->at;
        int32_t character;
        if (*c == '\\') {
            take_command(walk);
            continue;
        }
        const size_t length = utf8_step(c, walk->text.length - walk->at, &character);
        walk->at += length;
        if (is_nothing(*c) || (character >= 0x80 && utf8_is_space(character)) ||
            (*c == '{' && !enter(walk, false)) || (*c == '}' && !leave(walk)))
            continue;
        walk->left = (struct span){c, length};
    }
    const int byte = (unsigned char)*walk->left.text;
    walk->left.text++;
    walk->left.length--;
    return byte;
}

static int fold(int byte) {
    return byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte;
}

bool plain_equal(struct span a, struct span b, bool fold_case) {
    struct walk x = {.text = a}, y = {.text = b};
    for (;;) {
        const int p = next(&x), q = next(&y);
        if (p != q && !(fold_case && fold(p) == fold(q)))
            return false;
        if (p < 0)
            return true;
    }
}

uint64_t plain_name(uint64_t start, struct span text) {
    struct walk walk = {.text = text};
    for (int byte = next(&walk); byte >= 0; byte = next(&walk))
        if (byte != '{' && byte != '}')
            start = tree_name(start, (struct span){&(const char){(char)byte}, 1});
    return start;
}

char plain_choice(struct span text, bool open) {
    struct walk walk = {.text = text};
    int byte = next(&walk);
    const bool bracket = byte == '(';
    if (bracket)
        byte = next(&walk);
    const int letter = byte;
    byte = next(&walk);
    const bool closed = byte == ')';
    if (!byte_is_letter((char)letter) || letter < 0 || (bracket && !closed))
        return 0;
    if (closed)
        byte = next(&walk);
    if (byte >= 0 && !(open && (closed || byte == '.' || byte == ':')))
        return 0;
    return (char)letter;
}

bool plain_is_words(struct span text) {
    struct walk walk = {.text = text};
    int letters = 0;
    for (int byte = next(&walk); byte >= 0; byte = next(&walk)) {
        if (byte == '\\' || !(byte_is_letter((char)byte) || byte >= 0x80 || byte == '-' ||
                              byte == '\'' || byte == '(' || byte == ')' || byte == ','))
            return false;
        letters += byte_is_letter((char)byte) || byte >= 0x80;
    }
    return letters > 0;
}
