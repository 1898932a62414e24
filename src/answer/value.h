/* SPDX-License-Identifier: Apache-2.0
 *
 * What a number, or an expression in variables, is worth, in three ways:
 *
 *     exact    a rational number, by GMP; not for what has variables or irrational parts
 *     modular  the expression's value in the field of integers modulo a 61-bit prime, variables being
 *              random elements of it. Rational expressions that are equal as such have equal values;
 *              others have different ones but for a share of degree / 2^61 of all points (Schwartz
 *              and Zippel). i is a root of −1; π and e are variables.
 *     numeric  a complex number in double precision, variables being random real numbers
 *
 * All take from a budget of operations, one unit some 10 ns, and fail when it is spent.
 */
#ifndef ANSWER_VALUE_H
#define ANSWER_VALUE_H

#include <complex.h>
#include <stdbool.h>
#include <stdint.h>

#include <gmp.h>

#include "answer/tree.h"

struct budget {
    int64_t left; /* below 0: spent */
    /* The largest term of a sum that value_numeric has met: what cancels leaves its rounding behind */
    double largest;
};

/* False when it is spent. */
static inline bool budget_take(struct budget *budget, int64_t units) {
    budget->left -= units;
    return budget->left >= 0;
}

/* Something in a tree, with a sign for its ±, and perhaps a factor before it. */
struct item {
    const struct tree *tree;
    int node;
    int factor; /* a node, or TREE_NONE */
    int sign;   /* of ±: 1 or −1; 0 as long as it has both, and then + */
    bool bare;  /* % and °, unless in functions, change nothing */
};

/* A larger number is not exact; so many bits are 4,900 digits. */
enum { EXACT_BITS = 16384 };

/* *out must be initialised; its value is unspecified on false. */
bool value_exact(struct budget *budget, struct item item, mpq_t out);

/* Where variables take their values, and how \log is read. */
struct point {
    uint64_t seed;
    int number;        /* of the point: 0, 1, … */
    bool decimal_logs; /* \log without a base is log_10 */
    bool negative;     /* half of the variables are negative, numerically */
};

bool value_modular(struct budget *budget, struct item item, const struct point *point,
                   uint64_t *out);

/* The modulus, and division in the field, by what is not 0. */
#define MODULAR_PRIME 0x1fffffffffffffe1u
uint64_t modular_multiply(uint64_t a, uint64_t b);
uint64_t modular_divide(uint64_t a, uint64_t b);
uint64_t modular_subtract(uint64_t a, uint64_t b);

/* False too where it is not finite. */
bool value_numeric(struct budget *budget, struct item item, const struct point *point,
                   double complex *out);

/* A real value without variables that is finite or ±∞, for ends of intervals. */
bool value_real(struct budget *budget, struct item item, double *out);

/* The item of another node of the same tree. */
static inline struct item item_at(struct item item, int node) {
    item.node = node;
    return item;
}
static inline const struct node *item_node(struct item item) {
    return &item.tree->nodes[item.node];
}

/* 64 random bits, a function of all three. */
uint64_t value_mix(uint64_t seed, uint64_t name, uint64_t number);

#endif
