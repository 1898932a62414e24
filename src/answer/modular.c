/* SPDX-License-Identifier: Apache-2.0
 *
 * Values in the field of integers modulo MODULAR_PRIME = 2^61 − 31, which is 1 modulo 4, so that −1
 * has a root.
 */
#include "answer/value.h"

#include <limits.h>

#define ROOT_OF_MINUS_ONE 583529827753931384u

__extension__ typedef unsigned __int128 wide;

uint64_t modular_multiply(uint64_t a, uint64_t b) {
    return (uint64_t)((wide)a * b % MODULAR_PRIME);
}

uint64_t modular_subtract(uint64_t a, uint64_t b) {
    return a >= b ? a - b : a + MODULAR_PRIME - b;
}

static uint64_t sum(uint64_t a, uint64_t b) {
    return (a + b) % MODULAR_PRIME;
}

static uint64_t power(uint64_t base, uint64_t exponent) {
    uint64_t result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            result = modular_multiply(result, base);
        base = modular_multiply(base, base);
    }
    return result;
}

uint64_t modular_divide(uint64_t a, uint64_t b) {
    return modular_multiply(a, power(b, MODULAR_PRIME - 2));
}

/* The digits, in this base. */
static uint64_t read_digits(struct span digits, int64_t *count, uint64_t base) {
    uint64_t value = 0;
    *count = 0;
    for (size_t i = 0;;) {
        const char digit = decimal_next_digit(digits, &i);
        if (digit == '\0')
            return value;
        value = sum(modular_multiply(value, base), (uint64_t)(digit - '0'));
        ++*count;
    }
}

static bool modular_number(struct budget *budget, const struct node *node, uint64_t *out) {
    int64_t count;
    if (!budget_take(budget, (int64_t)node->number.digits.length))
        return false;
    const uint64_t base = node->kind == NODE_BASED ? (uint64_t)node->detail : 10,
                   digits = read_digits(node->number.digits, &count, base);
    const int64_t shift = node->number.exponent - count;
    const uint64_t scale = power(base, (uint64_t)(shift < 0 ? -shift : shift));
    *out = shift < 0 ? modular_divide(digits, scale) : modular_multiply(digits, scale);
    return true;
}

/* The exponent as an integer, where it is one of 63 bits. */
static bool read_exponent(struct budget *budget, struct item item, int64_t *out) {
    mpq_t value;
    mpq_init(value);
    const bool integer =
        value_exact(budget, item, value) && mpz_cmp_ui(mpq_denref(value), 1) == 0 &&
        mpz_fits_slong_p(mpq_numref(value)) && mpz_cmp_si(mpq_numref(value), LONG_MIN) != 0;
    if (integer)
        *out = mpz_get_si(mpq_numref(value));
    mpq_clear(value);
    return integer;
}

static bool modular_power(struct budget *budget, struct item item, const struct point *point,
                          uint64_t *out) {
    uint64_t base;
    int64_t exponent;
    item.bare = false;
    if (!read_exponent(budget, item_at(item, tree_second(item.tree, item.node)), &exponent) ||
        !value_modular(budget, item_at(item, tree_first(item.tree, item.node)), point, &base) ||
        !budget_take(budget, 40) || (base == 0 && exponent <= 0))
        return false;
    *out = power(base, (uint64_t)(exponent < 0 ? -exponent : exponent));
    if (exponent < 0)
        *out = modular_divide(1, *out);
    return true;
}

static bool modular_fold(struct budget *budget, struct item item, const struct point *point,
                         uint64_t *out) {
    const struct node *node = item_node(item);
    *out = node->kind == NODE_PRODUCT;
    for (int child = node->first; child != TREE_NONE; child = item.tree->nodes[child].next) {
        uint64_t next;
        if (!value_modular(budget, item_at(item, child), point, &next))
            return false;
        *out = node->kind == NODE_SUM ? sum(*out, next) : modular_multiply(*out, next);
    }
    return true;
}

static bool modular_change(struct budget *budget, struct item item, const struct point *point,
                           uint64_t *out) {
    const struct node *node = item_node(item);
    if ((node->kind == NODE_DEGREE && !item.bare) ||
        !value_modular(budget, item_at(item, node->first), point, out))
        return false;
    if (node->kind == NODE_NEGATE ||
        (node->kind == NODE_PLUS_MINUS && node->detail * item.sign < 0))
        *out = modular_subtract(0, *out);
    if (node->kind == NODE_PERCENT && !item.bare)
        *out = modular_divide(*out, 100);
    if (node->kind == NODE_INVERT) {
        if (*out == 0 || !budget_take(budget, 40))
            return false;
        *out = modular_divide(1, *out);
    }
    return true;
}

static bool modular_constant(int constant, const struct point *point, uint64_t *out) {
    if (constant == CONSTANT_INFINITY)
        return false;
    *out =
        constant == CONSTANT_I
            ? ROOT_OF_MINUS_ONE
            : value_mix(point->seed, (uint64_t)constant, (uint64_t)point->number) % MODULAR_PRIME;
    return true;
}

/* A function is one of its argument's value, whatever that was written like. */
static bool modular_apply(struct budget *budget, struct item item, const struct point *point,
                          uint64_t *out) {
    uint64_t argument;
    if (!value_modular(budget, item_at(item, item_node(item)->first), point, &argument))
        return false;
    *out = value_mix(point->seed, item_node(item)->name, argument) % MODULAR_PRIME;
    return true;
}

static bool modular_node(struct budget *budget, struct item item, const struct point *point,
                         uint64_t *out) {
    const struct node *node = item_node(item);
    switch (node->kind) {
    case NODE_NUMBER:
    case NODE_BASED:
        return modular_number(budget, node, out);
    case NODE_SYMBOL:
        *out = value_mix(point->seed, node->name, (uint64_t)point->number) % MODULAR_PRIME;
        return true;
    case NODE_CONSTANT:
        return modular_constant(node->detail, point, out);
    case NODE_SUM:
    case NODE_PRODUCT:
        return modular_fold(budget, item, point, out);
    case NODE_NEGATE:
    case NODE_INVERT:
    case NODE_PLUS_MINUS:
    case NODE_PERCENT:
    case NODE_DEGREE:
    case NODE_UNIT:
        return modular_change(budget, item, point, out);
    case NODE_POWER:
        return modular_power(budget, item, point, out);
    case NODE_APPLY:
        return modular_apply(budget, item, point, out);
    default:
        return false;
    }
}

bool value_modular(struct budget *budget, struct item item, const struct point *point,
                   uint64_t *out) {
    const int factor = item.factor;
    uint64_t scale = 1;
    item.factor = TREE_NONE;
    if (!budget_take(budget, 2) ||
        (factor != TREE_NONE && !modular_node(budget, item_at(item, factor), point, &scale)) ||
        !modular_node(budget, item, point, out))
        return false;
    *out = modular_multiply(*out, scale);
    return true;
}

uint64_t value_mix(uint64_t seed, uint64_t name, uint64_t number) {
    uint64_t x = seed ^ name * 0x9e3779b97f4a7c15u ^ number * 0xd1b54a32d192ed03u;
    for (int round = 0; round < 2; round++) { /* the finaliser of splitmix64 */
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        x = (x ^ x >> 27) * 0x94d049bb133111ebu;
        x ^= x >> 31;
    }
    return x;
}
