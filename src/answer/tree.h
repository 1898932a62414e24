/* SPDX-License-Identifier: Apache-2.0
 *
 * What a written answer says, as a tree in memory of fixed size: an answer that needs more
 * nodes, or nests deeper than TREE_DEPTH, is not read as mathematics. So every walk over a tree
 * ends soon, and none needs memory of its own.
 */
#ifndef ANSWER_TREE_H
#define ANSWER_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "answer/decimal.h"
#include "answer/span.h"

enum { TREE_NODES = 640, TREE_DEPTH = 160, TREE_NONE = -1 };

enum node_kind {
    /* Numbers. Children, where there are any, are operands in order. */
    NODE_NUMBER,     /* number */
    NODE_BASED,      /* the digits of `number` in base `detail` */
    NODE_SYMBOL,     /* a variable, known by `name` */
    NODE_CONSTANT,   /* detail: enum constant */
    NODE_SUM,        /* of the children */
    NODE_PRODUCT,    /* of the children */
    NODE_NEGATE,     /* − child */
    NODE_INVERT,     /* 1 / child */
    NODE_POWER,      /* first ^ second */
    NODE_FUNCTION,   /* detail: enum function, of the children */
    NODE_APPLY,      /* an unknown function, known by `name`, of the child */
    NODE_PLUS_MINUS, /* ± child (detail 1) or ∓ child (detail −1) */
    NODE_PERCENT,    /* child / 100 */
    NODE_DEGREE,     /* child × π / 180 */
    NODE_UNIT,       /* child, of something whose text is `text` */
    /* Other things. */
    NODE_SCALED,     /* first × the matrix second */
    NODE_MATRIX,     /* children by rows, `detail` columns */
    NODE_LIST,       /* children; detail: opening | closing enum bracket << 4 */
    NODE_RELATION,   /* a chain; each child but the first has `relation` before it */
    NODE_UNION,      /* of the children */
    NODE_INTERSECT,  /* of the children */
    NODE_DIFFERENCE, /* first without second */
    NODE_REALS,      /* all real numbers */
    NODE_TEXT,       /* words: `text` */
};

enum constant { CONSTANT_PI, CONSTANT_E, CONSTANT_I, CONSTANT_INFINITY };

enum function {
    FUNCTION_SQRT, /* of the first; of degree second where there is one */
    FUNCTION_ABS,
    FUNCTION_FLOOR,
    FUNCTION_CEIL,
    FUNCTION_FACTORIAL,
    FUNCTION_BINOMIAL,
    FUNCTION_MIN,
    FUNCTION_MAX,
    FUNCTION_GCD,
    FUNCTION_LCM,
    FUNCTION_EXP,
    FUNCTION_LN,
    FUNCTION_LOG, /* to the base second; without one, natural or decimal as the reader likes */
    FUNCTION_SIN,
    FUNCTION_COS,
    FUNCTION_TAN,
    FUNCTION_COT,
    FUNCTION_SEC,
    FUNCTION_CSC,
    FUNCTION_ARCSIN,
    FUNCTION_ARCCOS,
    FUNCTION_ARCTAN,
    FUNCTION_ARCCOT,
    FUNCTION_SINH,
    FUNCTION_COSH,
    FUNCTION_TANH,
};

enum relation {
    RELATION_NONE,
    RELATION_EQUAL,
    RELATION_UNEQUAL,
    RELATION_LESS,
    RELATION_LESS_EQUAL,
    RELATION_GREATER,
    RELATION_GREATER_EQUAL,
};

enum bracket {
    BRACKET_NONE, /* a list without brackets, joined by commas */
    BRACKET_ALL,  /* one joined by "and" */
    BRACKET_ROUND,
    BRACKET_SQUARE,
    BRACKET_BRACE,
    BRACKET_ANGLE,
    BRACKET_FLOOR,
    BRACKET_CEIL,
    BRACKET_BAR,
};

struct node {
    enum node_kind kind;
    enum relation relation; /* before this one, in a chain */
    int detail;
    int first, last, next, count; /* children, sibling; TREE_NONE where there is none */
    uint64_t name;
    union {
        struct {
            struct decimal number;
            bool point; /* it was written with a decimal point or an exponent */
        };
        struct span text;
    };
};

struct tree {
    int count;
    bool full;
    struct node nodes[TREE_NODES];
};

/* A new node without children, or TREE_NONE, which sets tree->full. TREE_NONE as a parent or a
 * child is taken and changes nothing but tree->full, so that a builder need look only at its
 * end. */
int tree_add(struct tree *tree, enum node_kind kind, int detail);
void tree_append(struct tree *tree, int parent, int child);

/* A node with one child, or with two. */
int tree_wrap(struct tree *tree, enum node_kind kind, int detail, int child);
int tree_pair(struct tree *tree, enum node_kind kind, int detail, int first, int second);

/* The integer whose digits are this text, which must outlive the tree. */
int tree_integer(struct tree *tree, const char *digits);

/* The first child, and its sibling: the operands of a node with at most two. */
static inline int tree_first(const struct tree *tree, int node) {
    return tree->nodes[node].first;
}
static inline int tree_second(const struct tree *tree, int node) {
    const int first = tree->nodes[node].first;
    return first == TREE_NONE ? TREE_NONE : tree->nodes[first].next;
}

/* What a subtree holds. */
struct tree_content {
    bool symbols;    /* NODE_SYMBOL or NODE_APPLY */
    bool points;     /* a number written with a decimal point or an exponent */
    bool plus_minus; /* ± or ∓ */
    bool others;     /* what is no number: NODE_SCALED and all behind it */
    bool log;        /* FUNCTION_LOG without a base */
    bool imaginary;  /* i */
    bool percent, degree;
};
struct tree_content tree_content(const struct tree *tree, int node);

/* The names of texts: 64 bits by which symbols are told apart. */
#define TREE_NAME_START 0xcbf29ce484222325u
uint64_t tree_name(uint64_t start, struct span text);

#endif
