/* SPDX-License-Identifier: Apache-2.0
 *
 * Added tokens inside a text: the longest one at the earliest place is cut out, with the white
 * space that it takes along (lstrip, rstrip), unless it must stand as a word (single_word) and does
 * not.
 */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct added_token {
    int32_t id;
    bool single_word, lstrip, rstrip;
};

struct added_node; /* a node of a tree over the bytes of the contents */

struct added_set {
    struct added_node *nodes;
    struct added_token *tokens;
    int32_t node_count, node_capacity, token_count, token_capacity;
    bool begins[256]; /* bytes with which a content begins */
};

/* A set begins zeroed. Adds a content; one that is there already keeps its first token. */
enum status added_set_add(struct added_set *set, const char *content, size_t length,
                          struct added_token token) MUST_USE;
void added_set_release(struct added_set *set);

/* Calls `visit` for the parts of a valid text in order: plain parts with id −1 (never empty), and
 * added tokens with their id. */
enum status added_set_split(const struct added_set *set, const char *text, size_t length,
                            enum status (*visit)(void *context, const char *part, size_t length,
                                                 int32_t id),
                            void *context) MUST_USE;

#endif
