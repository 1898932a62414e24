/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/region.h"

#include <math.h>

static const struct region all = {.count = 1, .pieces = {{-INFINITY, INFINITY, false, false}}};

/* --- sets of pieces --- */

static bool is_nothing(const struct piece *piece) {
    return piece->low > piece->high ||
           (piece->low == piece->high && !(piece->low_closed && piece->high_closed));
}

/* Whether a piece that begins no earlier goes on where `first` ends. */
static bool touches(const struct piece *first, const struct piece *second) {
    return second->low < first->high ||
           (scalar_near(second->low, first->high) && (second->low_closed || first->high_closed));
}

static bool begins_before(const struct piece *a, const struct piece *b) {
    return a->low < b->low || (a->low == b->low && a->low_closed && !b->low_closed);
}

/* One piece more, in its place, joined with those that it touches. */
static bool add(struct region *region, struct piece piece) {
    int at = region->count, kept = 0;
    if (is_nothing(&piece))
        return true;
    if (region->count == REGION_PIECES)
        return false;
    for (; at > 0 && begins_before(&piece, &region->pieces[at - 1]); at--)
        region->pieces[at] = region->pieces[at - 1];
    region->pieces[at] = piece;
    region->count++;
    for (int i = 1; i < region->count; i++) {
        struct piece *last = &region->pieces[kept];
        const struct piece next = region->pieces[i];
        if (!touches(last, &next)) {
            region->pieces[++kept] = next;
        } else if (next.high > last->high || (next.high == last->high && next.high_closed)) {
            last->high = next.high;
            last->high_closed = next.high_closed;
        }
    }
    region->count = kept + 1;
    return true;
}

static bool unite(const struct region *more, struct region *out) {
    for (int i = 0; i < more->count; i++)
        if (!add(out, more->pieces[i]))
            return false;
    return true;
}

static struct piece common(const struct piece *a, const struct piece *b) {
    const bool low = a->low > b->low, high = a->high < b->high;
    return (struct piece){
        .low = low ? a->low : b->low,
        .high = high ? a->high : b->high,
        .low_closed = a->low == b->low ? a->low_closed && b->low_closed
                      : low            ? a->low_closed
                                       : b->low_closed,
        .high_closed = a->high == b->high ? a->high_closed && b->high_closed
                       : high             ? a->high_closed
                                          : b->high_closed,
    };
}

static bool intersect(const struct region *with, struct region *out) {
    const struct region before = *out;
    out->count = 0;
    for (int i = 0; i < before.count; i++)
        for (int k = 0; k < with->count; k++)
            if (!add(out, common(&before.pieces[i], &with->pieces[k])))
                return false;
    return true;
}

static bool complement(const struct region *of, struct region *out) {
    struct piece gap = {-INFINITY, INFINITY, false, false};
    out->count = 0;
    for (int i = 0; i < of->count; i++) {
        gap.high = of->pieces[i].low;
        gap.high_closed = !of->pieces[i].low_closed && !isinf(gap.high);
        if (!add(out, gap))
            return false;
        gap.low = of->pieces[i].high;
        gap.low_closed = !of->pieces[i].high_closed && !isinf(gap.low);
    }
    gap.high = INFINITY;
    gap.high_closed = false;
    return isinf(gap.low) && gap.low > 0 ? true : add(out, gap);
}

bool region_equal(const struct region *a, const struct region *b) {
    if (a->count != b->count || (a->name != 0 && b->name != 0 && a->name != b->name))
        return false;
    for (int i = 0; i < a->count; i++) {
        const struct piece *x = &a->pieces[i], *y = &b->pieces[i];
        if (!scalar_near(x->low, y->low) || !scalar_near(x->high, y->high) ||
            x->low_closed != y->low_closed || x->high_closed != y->high_closed)
            return false;
    }
    return true;
}

/* --- reading --- */

static bool read_interval(struct grader *grader, struct item item, struct region *out) {
    const struct node *node = item_node(item);
    const int open = node->detail & 15, close = node->detail >> 4;
    struct piece piece;
    if (node->count != 2 || (open != BRACKET_ROUND && open != BRACKET_SQUARE) ||
        (close != BRACKET_ROUND && close != BRACKET_SQUARE) ||
        !value_real(&grader->budget, item_at(item, node->first), &piece.low) ||
        !value_real(&grader->budget, item_at(item, tree_second(item.tree, item.node)), &piece.high))
        return false;
    piece.low_closed = open == BRACKET_SQUARE && !isinf(piece.low);
    piece.high_closed = close == BRACKET_SQUARE && !isinf(piece.high);
    return piece.low < piece.high && add(out, piece);
}

static bool read_points(struct grader *grader, struct item item, struct region *out) {
    for (int child = item_node(item)->first; child != TREE_NONE;
         child = item.tree->nodes[child].next) {
        double value;
        if (!value_real(&grader->budget, item_at(item, child), &value) || isinf(value) ||
            !add(out, (struct piece){value, value, true, true}))
            return false;
    }
    return true;
}

static enum relation mirrored(enum relation relation) {
    switch (relation) {
    case RELATION_LESS:
        return RELATION_GREATER;
    case RELATION_LESS_EQUAL:
        return RELATION_GREATER_EQUAL;
    case RELATION_GREATER:
        return RELATION_LESS;
    case RELATION_GREATER_EQUAL:
        return RELATION_LESS_EQUAL;
    default:
        return relation;
    }
}

/* Where a variable stands in this relation to a number. */
static bool read_half(enum relation relation, double value, struct region *out) {
    switch (relation) {
    case RELATION_LESS:
    case RELATION_LESS_EQUAL:
        return add(out, (struct piece){-INFINITY, value, false,
                                       relation == RELATION_LESS_EQUAL && !isinf(value)});
    case RELATION_GREATER:
    case RELATION_GREATER_EQUAL:
        return add(out, (struct piece){value, INFINITY,
                                       relation == RELATION_GREATER_EQUAL && !isinf(value), false});
    case RELATION_UNEQUAL:
        return add(out, (struct piece){-INFINITY, value, false, false}) &&
               add(out, (struct piece){value, INFINITY, false, false});
    default:
        return add(out, (struct piece){value, value, true, true});
    }
}

/* One step of a chain, between the variable and a number. */
static bool read_step(struct grader *grader, struct item left, struct item right, uint64_t *name,
                      struct region *out) {
    const bool first = item_node(left)->kind == NODE_SYMBOL;
    const enum relation relation = item_node(right)->relation;
    const struct item variable = first ? left : right, number = first ? right : left;
    double value;
    if (item_node(variable)->kind != NODE_SYMBOL ||
        (*name != 0 && *name != item_node(variable)->name) ||
        !value_real(&grader->budget, number, &value))
        return false;
    *name = item_node(variable)->name;
    return read_half(first ? relation : mirrored(relation), value, out);
}

/* a < x ≤ b: what all its steps leave. */
static bool read_chain(struct grader *grader, struct item item, uint64_t *name,
                       struct region *out) {
    *out = all;
    for (int left = item_node(item)->first; item.tree->nodes[left].next != TREE_NONE;) {
        const int right = item.tree->nodes[left].next;
        struct region step = {.count = 0};
        if (!read_step(grader, item_at(item, left), item_at(item, right), name, &step) ||
            !intersect(&step, out))
            return false;
        left = right;
    }
    return true;
}

static bool set_name(uint64_t name, struct region *region) {
    region->name = name;
    return true;
}

/* Inequalities joined by "or" or commas, or by "and". */
static bool read_inequalities(struct grader *grader, struct item item, struct region *out) {
    const bool both = item_node(item)->detail == BRACKET_ALL;
    uint64_t name = 0;
    if (both)
        *out = all;
    for (int child = item_node(item)->first; child != TREE_NONE;
         child = item.tree->nodes[child].next) {
        struct region part;
        if (item.tree->nodes[child].kind != NODE_RELATION ||
            !read_chain(grader, item_at(item, child), &name, &part) ||
            !(both ? intersect(&part, out) : unite(&part, out)))
            return false;
    }
    return set_name(name, out);
}

static bool read_operation(struct grader *grader, struct item item, struct region *out) {
    const struct node *node = item_node(item);
    if (!region_read(grader, item_at(item, node->first), out))
        return false;
    for (int child = tree_second(item.tree, item.node); child != TREE_NONE;
         child = item.tree->nodes[child].next) {
        struct region next, rest;
        if (!region_read(grader, item_at(item, child), &next))
            return false;
        const bool done = node->kind == NODE_UNION       ? unite(&next, out)
                          : node->kind == NODE_INTERSECT ? intersect(&next, out)
                          : complement(&next, &rest)     ? intersect(&rest, out)
                                                         : false;
        if (!done)
            return false;
    }
    return true;
}

bool region_read(struct grader *grader, struct item item, struct region *out) {
    const struct node *node = item_node(item);
    uint64_t name = 0;
    *out = (struct region){.count = 0};
    if (!budget_take(&grader->budget, 20))
        return false;
    switch (node->kind) {
    case NODE_REALS:
        *out = all;
        return true;
    case NODE_RELATION:
        return read_chain(grader, item, &name, out) && set_name(name, out);
    case NODE_UNION:
    case NODE_INTERSECT:
    case NODE_DIFFERENCE:
        return read_operation(grader, item, out);
    case NODE_LIST:
        if ((node->detail & 15) == BRACKET_BRACE)
            return read_points(grader, item, out);
        return node->detail <= BRACKET_ALL ? read_inequalities(grader, item, out)
                                           : read_interval(grader, item, out);
    default:
        return false;
    }
}
