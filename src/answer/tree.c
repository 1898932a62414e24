/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/tree.h"

#include <string.h>

int tree_add(struct tree *tree, enum node_kind kind, int detail) {
    if (tree->count == TREE_NODES) {
        tree->full = true;
        return TREE_NONE;
    }
    tree->nodes[tree->count] = (struct node){
        .kind = kind, .detail = detail, .first = TREE_NONE, .last = TREE_NONE, .next = TREE_NONE};
    return tree->count++;
}

void tree_append(struct tree *tree, int parent, int child) {
    if (parent == TREE_NONE || child == TREE_NONE) {
        tree->full = true;
        return;
    }
    struct node *node = &tree->nodes[parent];
    if (node->last == TREE_NONE)
        node->first = child;
    else
        tree->nodes[node->last].next = child;
    node->last = child;
    node->count++;
}

int tree_wrap(struct tree *tree, enum node_kind kind, int detail, int child) {
    const int node = tree_add(tree, kind, detail);
    tree_append(tree, node, child);
    return node;
}

int tree_pair(struct tree *tree, enum node_kind kind, int detail, int first, int second) {
    const int node = tree_wrap(tree, kind, detail, first);
    tree_append(tree, node, second);
    return node;
}

int tree_integer(struct tree *tree, const char *digits) {
    const int node = tree_add(tree, NODE_NUMBER, 0);
    if (node != TREE_NONE)
        decimal_read((struct span){digits, strlen(digits)}, &tree->nodes[node].number);
    return node;
}

static void look(const struct node *node, struct tree_content *content) {
    content->symbols |= node->kind == NODE_SYMBOL || node->kind == NODE_APPLY;
    content->points |= node->kind == NODE_NUMBER && node->point;
    content->plus_minus |= node->kind == NODE_PLUS_MINUS;
    content->others |= node->kind >= NODE_SCALED;
    content->log |= node->kind == NODE_FUNCTION && node->detail == FUNCTION_LOG && node->count == 1;
    content->imaginary |= node->kind == NODE_CONSTANT && node->detail == CONSTANT_I;
    content->percent |= node->kind == NODE_PERCENT;
    content->degree |= node->kind == NODE_DEGREE;
}

struct tree_content tree_content(const struct tree *tree, int node) {
    struct tree_content content = {.symbols = false};
    look(&tree->nodes[node], &content);
    for (int child = tree->nodes[node].first; child != TREE_NONE; child = tree->nodes[child].next) {
        const struct tree_content inner = tree_content(tree, child);
        content.symbols |= inner.symbols;
        content.points |= inner.points;
        content.plus_minus |= inner.plus_minus;
        content.others |= inner.others;
        content.log |= inner.log;
        content.imaginary |= inner.imaginary;
        content.percent |= inner.percent;
        content.degree |= inner.degree;
    }
    return content;
}

/* FNV-1a. */
uint64_t tree_name(uint64_t start, struct span text) {
    for (size_t i = 0; i < text.length; i++)
        start = (start ^ (unsigned char)text.text[i]) * 0x100000001b3u;
    return start;
}
