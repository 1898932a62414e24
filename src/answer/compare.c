/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/compare.h"

#include "answer/plain.h"
#include "answer/region.h"

enum { ELEMENTS = 64 };

static int child_after(struct item item, int child) {
    return item.tree->nodes[child].next;
}

static int open_of(struct item item) {
    return item_node(item)->detail & 15;
}

static int close_of(struct item item) {
    return item_node(item)->detail >> 4;
}

static bool is_list(struct item item) {
    return item_node(item)->kind == NODE_LIST;
}

/* A set, or a list without brackets: 1, 2 and {1, 2}. */
static bool is_unordered(struct item item) {
    return is_list(item) && (open_of(item) <= BRACKET_ALL || open_of(item) == BRACKET_BRACE);
}

static bool is_set(struct item item) {
    const enum node_kind kind = item_node(item)->kind;
    return kind == NODE_UNION || kind == NODE_INTERSECT || kind == NODE_DIFFERENCE ||
           kind == NODE_REALS || (kind == NODE_LIST && item_node(item)->count == 0);
}

static bool compare_regions(struct grader *grader, struct item a, struct item b) {
    struct region x, y;
    return region_read(grader, a, &x) && region_read(grader, b, &y) && region_equal(&x, &y);
}

/* --- lists --- */

/* One element, or two of one with ±. False when there is no room. */
static bool collect(struct item item, struct item *out, int *count) {
    const bool both =
        item.sign == 0 && !is_list(item) && tree_content(item.tree, item.node).plus_minus;
    if (*count + (both ? 2 : 1) > ELEMENTS)
        return false;
    if (both)
        item.sign = 1;
    out[(*count)++] = item;
    item.sign = -1;
    if (both)
        out[(*count)++] = item;
    return true;
}

static bool collect_all(struct item item, struct item *out, int *count) {
    *count = 0;
    if (!is_unordered(item))
        return collect(item, out, count);
    for (int child = item_node(item)->first; child != TREE_NONE; child = child_after(item, child))
        if (!collect(item_at(item, child), out, count))
            return false;
    return true;
}

/* Leaves each value once; how many there are then. */
static int drop_repeated(struct grader *grader, struct item *items, int count) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        int k = 0;
        while (k < kept && !compare_items(grader, items[k], items[i]))
            k++;
        if (k == kept)
            items[kept++] = items[i];
    }
    return kept;
}

/* The elements in any order, however often each is there. */
static bool compare_unordered(struct grader *grader, struct item a, struct item b) {
    struct item given[ELEMENTS], wanted[ELEMENTS];
    bool used[ELEMENTS] = {false};
    int n, m;
    if (!collect_all(a, given, &n) || !collect_all(b, wanted, &m))
        return false;
    if (n != m) {
        n = drop_repeated(grader, given, n);
        m = drop_repeated(grader, wanted, m);
    }
    if (n != m)
        return false;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < m && (used[k] || !compare_items(grader, given[i], wanted[k])))
            k++;
        if (k == m)
            return false;
        used[k] = true;
    }
    return true;
}

/* The children one by one. */
static bool compare_ordered(struct grader *grader, struct item a, struct item b) {
    int x = item_node(a)->first, y = item_node(b)->first;
    while (x != TREE_NONE && y != TREE_NONE) {
        if (!compare_items(grader, item_at(a, x), item_at(b, y)))
            return false;
        x = child_after(a, x);
        y = child_after(b, y);
    }
    return x == y;
}

/* Whether lists with these brackets may mean the same. What has three elements or more is no
 * interval, so its brackets do not matter. */
static bool brackets_agree(struct item a, struct item b) {
    if (open_of(a) == open_of(b) && close_of(a) == close_of(b))
        return true;
    const bool plain = open_of(a) <= BRACKET_ALL || open_of(b) <= BRACKET_ALL;
    const struct item bracketed = open_of(a) <= BRACKET_ALL ? b : a;
    if (item_node(a)->count >= 3)
        return true;
    return plain && open_of(bracketed) != BRACKET_SQUARE && close_of(bracketed) != BRACKET_SQUARE;
}

static bool compare_lists(struct grader *grader, struct item a, struct item b) {
    const bool tuples = is_list(a) && is_list(b) && !(is_unordered(a) && is_unordered(b));
    const bool ordered = (is_list(a) && !is_unordered(a)) || (is_list(b) && !is_unordered(b));
    if (!tuples) /* a tuple is no number */
        return !ordered && compare_unordered(grader, a, b);
    if (open_of(a) == BRACKET_BRACE || open_of(b) == BRACKET_BRACE)
        return false;
    return brackets_agree(a, b) && compare_ordered(grader, a, b);
}

/* --- matrices --- */

/* The matrix of an item, and what it is multiplied with, both as items of its elements. */
static bool read_matrix(struct item item, struct item *out) {
    *out = item;
    if (item_node(item)->kind == NODE_SCALED) {
        out->factor = item_node(item)->first;
        out->node = tree_second(item.tree, item.node);
    }
    return item.factor == TREE_NONE && item_node(*out)->kind == NODE_MATRIX;
}

/* A column or a row beside a tuple. */
static bool is_vector(struct item matrix) {
    const struct node *node = item_node(matrix);
    return node->detail == 1 || node->detail == node->count;
}

static bool compare_matrices(struct grader *grader, struct item a, struct item b) {
    struct item x = a, y = b;
    const bool first = read_matrix(a, &x), second = read_matrix(b, &y);
    if (first && second)
        return item_node(x)->detail == item_node(y)->detail && compare_ordered(grader, x, y);
    const bool tuple = first ? is_list(b) && is_vector(x) : is_list(a) && second && is_vector(y);
    return tuple && !is_unordered(first ? b : a) && compare_ordered(grader, x, y);
}

/* --- relations --- */

/* What may stand alone before the = of an answer: x, f(x), (x, y). */
static bool is_name(struct item item) {
    const struct node *node = item_node(item);
    if (node->kind == NODE_SYMBOL || node->kind == NODE_APPLY || node->kind == NODE_TEXT)
        return true;
    if (node->kind != NODE_LIST)
        return false;
    for (int child = node->first; child != TREE_NONE; child = child_after(item, child))
        if (item.tree->nodes[child].kind != NODE_SYMBOL)
            return false;
    return node->count > 0;
}

/* An equation, or a chain of them: its first and its last side, a name first where one is there. */
static bool read_equation(struct item item, struct item sides[2]) {
    if (item_node(item)->kind != NODE_RELATION)
        return false;
    sides[0] = sides[1] = item_at(item, item_node(item)->first);
    for (int child = child_after(item, sides[0].node); child != TREE_NONE;
         child = child_after(item, child)) {
        if (item.tree->nodes[child].relation != RELATION_EQUAL)
            return false;
        sides[1].node = child;
    }
    if (is_name(sides[1]) && !is_name(sides[0])) {
        const struct item name = sides[1];
        sides[1] = sides[0];
        sides[0] = name;
    }
    return true;
}

/* What an equation says when the other answer is none: the side behind the name, or, as in 2 +
 * 3 = 5, behind a number. */
static bool read_assigned(struct item item, struct item *out) {
    struct item sides[2];
    if (!read_equation(item, sides))
        return false;
    *out = sides[1];
    return is_name(sides[0]) || !tree_content(item.tree, sides[0].node).symbols;
}

/* Two sides of a relation, and how they stand to each other: = and ≠ as they are, < and ≤ with the
 * smaller side first. */
static enum relation read_two(struct item item, struct item sides[2]) {
    const int first = item_node(item)->first, second = tree_second(item.tree, item.node);
    const enum relation relation = item.tree->nodes[second].relation;
    const bool turn = relation == RELATION_GREATER || relation == RELATION_GREATER_EQUAL;
    sides[0] = item_at(item, turn ? second : first);
    sides[1] = item_at(item, turn ? first : second);
    return relation == RELATION_GREATER         ? RELATION_LESS
           : relation == RELATION_GREATER_EQUAL ? RELATION_LESS_EQUAL
                                                : relation;
}

static bool same_name(struct item a, struct item b) {
    return item_node(a)->kind == item_node(b)->kind && item_node(a)->kind != NODE_LIST &&
           item_node(a)->kind != NODE_TEXT && item_node(a)->name == item_node(b)->name;
}

static bool compare_relations(struct grader *grader, struct item a, struct item b) {
    struct item x[2], y[2];
    bool positive;
    if (read_equation(a, x) && read_equation(b, y) && is_name(x[0]) && is_name(y[0]) &&
        same_name(x[0], y[0]))
        return compare_items(grader, x[1], y[1]);
    if (item_node(a)->count == 2 && item_node(b)->count == 2) {
        const enum relation relation = read_two(a, x);
        if (relation == read_two(b, y) && scalar_proportional(grader, x, y, &positive) &&
            (positive || relation == RELATION_EQUAL || relation == RELATION_UNEQUAL))
            return true;
    }
    return compare_regions(grader, a, b);
}

/* At least one of them is a relation. */
static bool compare_with_relation(struct grader *grader, struct item a, struct item b) {
    struct item assigned;
    const bool first = item_node(a)->kind == NODE_RELATION,
               second = item_node(b)->kind == NODE_RELATION;
    if (first && second)
        return compare_relations(grader, a, b);
    if (first && read_assigned(a, &assigned))
        return compare_items(grader, assigned, b);
    if (second && read_assigned(b, &assigned))
        return compare_items(grader, a, assigned);
    return compare_regions(grader, a, b);
}

/* A list of inequalities beside a set: x < 1 or x > 2. */
static bool is_inequalities(struct item item) {
    return is_list(item) && open_of(item) <= BRACKET_ALL && item_node(item)->count > 0 &&
           item.tree->nodes[item_node(item)->first].kind == NODE_RELATION;
}

/* A list, a set, or a number with ±, which is two. */
static bool is_several(struct item item) {
    return is_list(item) || (item.sign == 0 && tree_content(item.tree, item.node).plus_minus);
}

static bool is_matrix(struct item item) {
    return item_node(item)->kind == NODE_MATRIX || item_node(item)->kind == NODE_SCALED;
}

bool compare_items(struct grader *grader, struct item given, struct item wanted) {
    const enum node_kind a = item_node(given)->kind, b = item_node(wanted)->kind;
    if (!budget_take(&grader->budget, 8))
        return false;
    if (a == NODE_TEXT || b == NODE_TEXT)
        return a == b && plain_equal(item_node(given)->text, item_node(wanted)->text, true);
    if ((is_set(given) || is_set(wanted) || is_inequalities(given) || is_inequalities(wanted)) &&
        compare_regions(grader, given, wanted))
        return true;
    if (a == NODE_RELATION || b == NODE_RELATION)
        return compare_with_relation(grader, given, wanted);
    if (is_matrix(given) || is_matrix(wanted))
        return compare_matrices(grader, given, wanted);
    if (is_several(given) || is_several(wanted))
        return compare_lists(grader, given, wanted);
    return a < NODE_SCALED && b < NODE_SCALED && scalar_equal(grader, given, wanted);
}
