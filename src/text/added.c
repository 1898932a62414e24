/* SPDX-License-Identifier: Apache-2.0 */
#include "text/added.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "text/unicode.h"

struct added_node {
    int32_t child, sibling; /* 0: none; node 0 is the root */
    int32_t token;          /* index + 1 */
    unsigned char byte;
};

static enum status make_node(struct added_set *set, unsigned char byte, int32_t *out) {
    if (set->node_count == set->node_capacity) {
        const int32_t capacity = set->node_capacity > 0 ? 2 * set->node_capacity : 256;
        TRY(memory_grow(&set->nodes, capacity, "added tokens"));
        set->node_capacity = capacity;
    }
    *out = set->node_count++;
    set->nodes[*out].byte = byte;
    return STATUS_OK;
}

static int32_t find_child(const struct added_set *set, int32_t node, unsigned char byte) {
    int32_t child = set->nodes[node].child;
    while (child != 0 && set->nodes[child].byte != byte)
        child = set->nodes[child].sibling;
    return child;
}

static enum status step_or_make(struct added_set *set, int32_t *node, unsigned char byte) {
    int32_t child = find_child(set, *node, byte);
    if (child == 0) {
        TRY(make_node(set, byte, &child));
        set->nodes[child].sibling = set->nodes[*node].child;
        set->nodes[*node].child = child;
    }
    *node = child;
    return STATUS_OK;
}

enum status added_set_add(struct added_set *set, const char *content, size_t length,
                          struct added_token token) {
    int32_t node = 0;
    ASSERT(length > 0);
    if (set->node_count == 0)
        TRY(make_node(set, 0, &node));
    for (size_t i = 0; i < length; i++)
        TRY(step_or_make(set, &node, (unsigned char)content[i]));
    if (set->nodes[node].token != 0)
        return STATUS_OK;
    if (set->token_count == set->token_capacity) {
        const int32_t capacity = set->token_capacity > 0 ? 2 * set->token_capacity : 32;
        TRY(memory_grow(&set->tokens, capacity, "added tokens"));
        set->token_capacity = capacity;
    }
    set->tokens[set->token_count++] = token;
    set->nodes[node].token = set->token_count;
    set->begins[(unsigned char)content[0]] = true;
    return STATUS_OK;
}

void added_set_release(struct added_set *set) {
    memory_release(&set->nodes);
    memory_release(&set->tokens);
}

/* The longest token that begins at `text`, NULL when none. */
static const struct added_token *longest(const struct added_set *set, const char *text,
                                         size_t length, size_t *matched) {
    const struct added_token *best = NULL;
    int32_t node = 0;
    for (size_t i = 0; i < length; i++) {
        node = find_child(set, node, (unsigned char)text[i]);
        if (node == 0)
            break;
        if (set->nodes[node].token != 0) {
            best = &set->tokens[set->nodes[node].token - 1];
            *matched = i + 1;
        }
    }
    return best;
}

static bool stands_alone(const char *text, size_t length, size_t start, size_t stop) {
    int32_t before, after;
    if (start > 0) {
        utf8_step_back(text, start, &before);
        if (unicode_is_word(before))
            return false;
    }
    if (stop == length)
        return true;
    utf8_step(text + stop, length - stop, &after);
    return !unicode_is_word(after);
}

static size_t space_before(const char *text, size_t start, size_t least) {
    while (start > least) {
        int32_t character;
        const size_t step = utf8_step_back(text, start, &character);
        if (!utf8_is_space(character))
            break;
        start -= step;
    }
    return start;
}

static size_t space_after(const char *text, size_t length, size_t stop) {
    while (stop < length) {
        int32_t character;
        const size_t step = utf8_step(text + stop, length - stop, &character);
        if (!utf8_is_space(character))
            break;
        stop += step;
    }
    return stop;
}

enum status added_set_split(const struct added_set *set, const char *text, size_t length,
                            enum status (*visit)(void *context, const char *part, size_t length,
                                                 int32_t id),
                            void *context) {
    size_t done = 0;
    for (size_t at = 0; at < length;) {
        size_t matched = 1;
        const struct added_token *token = set->begins[(unsigned char)text[at]]
                                              ? longest(set, text + at, length - at, &matched)
                                              : NULL;
        const size_t start = at, stop = at + matched;
        at = stop;
        if (token == NULL || (token->single_word && !stands_alone(text, length, start, stop)))
            continue;
        const size_t first = token->lstrip ? space_before(text, start, done) : start;
        const size_t last = token->rstrip ? space_after(text, length, stop) : stop;
        if (first > done)
            TRY(visit(context, text + done, first - done, -1));
        TRY(visit(context, text + first, last - first, token->id));
        done = last;
    }
    return done < length ? visit(context, text + done, length - done, -1) : STATUS_OK;
}
