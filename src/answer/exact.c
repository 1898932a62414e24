/* SPDX-License-Identifier: Apache-2.0
 *
 * Rational values. A product or a power that would be too long is refused before it is computed.
 */
#include "answer/value.h"

static size_t words(const mpq_t value) {
    return mpz_size(mpq_numref(value)) + mpz_size(mpq_denref(value));
}

/* Pays for an operation on two numbers, with the division that keeps the result in lowest terms. */
static bool pay(struct budget *budget, const mpq_t a, const mpq_t b) {
    const size_t total = words(a) + words(b);
    return total * 64 <= 2 * EXACT_BITS &&
           budget_take(budget, 8 + (int64_t)(words(a) * words(b)) / 4);
}

static bool power_of_ten(mpz_t out, int64_t exponent) {
    if (exponent < 0 || exponent > EXACT_BITS / 4)
        return false;
    mpz_ui_pow_ui(out, 10, (unsigned long)exponent);
    return true;
}

/* Digits × 10^shift. */
static bool from_digits(const char *digits, int base, int64_t shift, mpq_t out) {
    mpz_t scale;
    if (mpz_set_str(mpq_numref(out), digits, base) != 0)
        return false;
    mpz_set_ui(mpq_denref(out), 1);
    if (shift == 0)
        return true;
    mpz_init(scale);
    const bool fits = power_of_ten(scale, shift < 0 ? -shift : shift);
    if (fits && shift > 0)
        mpz_mul(mpq_numref(out), mpq_numref(out), scale);
    if (fits && shift < 0) {
        mpz_set(mpq_denref(out), scale);
        mpq_canonicalize(out);
    }
    mpz_clear(scale);
    return fits;
}

static bool exact_number(struct budget *budget, const struct node *node, mpq_t out) {
    enum { DIGITS = EXACT_BITS / 4 };
    char digits[DIGITS + 1];
    const struct decimal *number = &node->number;
    int64_t count = 0;
    for (size_t i = 0; count < DIGITS;) {
        const char digit = decimal_next_digit(number->digits, &i);
        if (digit == '\0')
            break;
        digits[count++] = digit;
    }
    digits[count] = '\0';
    if (count == 0) {
        mpq_set_ui(out, 0, 1);
        return true;
    }
    int64_t shift = number->exponent - count;
    if (node->kind == NODE_BASED) { /* zeros at the end belong to the digits */
        for (; shift > 0 && count < DIGITS; shift--)
            digits[count++] = '0';
        digits[count] = '\0';
    }
    return count < DIGITS && budget_take(budget, count) &&
           (node->kind != NODE_BASED || shift == 0) &&
           from_digits(digits, node->kind == NODE_BASED ? node->detail : 10, shift, out);
}

/* base^exponent for an integer exponent. */
static bool integer_power(struct budget *budget, const mpq_t base, const mpz_t exponent,
                          mpq_t out) {
    if (mpq_sgn(base) == 0) {
        mpq_set_ui(out, mpz_sgn(exponent) == 0, 1);
        return mpz_sgn(exponent) > 0;
    }
    const size_t top = mpz_sizeinbase(mpq_numref(base), 2),
                 under = mpz_sizeinbase(mpq_denref(base), 2), bits = top > under ? top : under;
    if (bits == 1) { /* ±1 */
        mpq_set_si(out, mpz_even_p(exponent) ? 1 : mpq_sgn(base), 1);
        return true;
    }
    if (mpz_cmpabs_ui(exponent, EXACT_BITS / bits) > 0)
        return false;
    const unsigned long n = mpz_get_ui(exponent); /* of the absolute value */
    const int64_t length = (int64_t)(bits * n / 64);
    if (!budget_take(budget, 8 + length * length / 8))
        return false;
    mpz_pow_ui(mpq_numref(out), mpq_numref(base), n);
    mpz_pow_ui(mpq_denref(out), mpq_denref(base), n);
    if (mpz_sgn(exponent) < 0)
        mpq_inv(out, out);
    return true;
}

/* The root of that degree, where it is rational. */
static bool exact_root(struct budget *budget, const mpq_t value, unsigned long degree, mpq_t out) {
    if (degree == 0 || degree > 64 || (mpq_sgn(value) < 0 && degree % 2 == 0) ||
        !pay(budget, value, value))
        return false;
    return mpz_root(mpq_numref(out), mpq_numref(value), degree) != 0 &&
           mpz_root(mpq_denref(out), mpq_denref(value), degree) != 0;
}

static bool exact_power(struct budget *budget, const mpq_t base, const mpq_t exponent, mpq_t out) {
    if (mpz_cmp_ui(mpq_denref(exponent), 1) == 0)
        return integer_power(budget, base, mpq_numref(exponent), out);
    mpq_t root;
    mpq_init(root);
    const bool exact = mpq_sgn(base) >= 0 && mpz_fits_ulong_p(mpq_denref(exponent)) &&
                       exact_root(budget, base, mpz_get_ui(mpq_denref(exponent)), root) &&
                       integer_power(budget, root, mpq_numref(exponent), out);
    mpq_clear(root);
    return exact;
}

static bool is_integer(const mpq_t value) {
    return mpz_cmp_ui(mpq_denref(value), 1) == 0;
}

/* n! and n over k for n up to some hundreds. */
static bool exact_count(struct budget *budget, bool binomial, const mpq_t n, const mpq_t k,
                        mpq_t out) {
    enum { MOST = 1000 };
    if (!is_integer(n) || mpq_sgn(n) < 0 || mpz_cmp_ui(mpq_numref(n), MOST) > 0 ||
        !budget_take(budget, 1000))
        return false;
    const unsigned long from = mpz_get_ui(mpq_numref(n));
    mpz_set_ui(mpq_denref(out), 1);
    if (!binomial) {
        mpz_fac_ui(mpq_numref(out), from);
        return true;
    }
    if (!is_integer(k) || mpq_sgn(k) < 0)
        return false;
    if (mpq_cmp(k, n) > 0)
        mpz_set_ui(mpq_numref(out), 0);
    else
        mpz_bin_uiui(mpq_numref(out), from, mpz_get_ui(mpq_numref(k)));
    return true;
}

/* min, max, gcd, lcm: `out` and one more. */
static bool exact_gather(int function, const mpq_t next, mpq_t out) {
    const bool integers = is_integer(next) && is_integer(out);
    switch (function) {
    case FUNCTION_MIN:
        if (mpq_cmp(next, out) < 0)
            mpq_set(out, next);
        return true;
    case FUNCTION_MAX:
        if (mpq_cmp(next, out) > 0)
            mpq_set(out, next);
        return true;
    case FUNCTION_GCD:
        mpz_gcd(mpq_numref(out), mpq_numref(out), mpq_numref(next));
        return integers;
    default:
        mpz_lcm(mpq_numref(out), mpq_numref(out), mpq_numref(next));
        return integers;
    }
}

/* The functions of one number, or of one and a second. */
static bool exact_function(struct budget *budget, int function, const mpq_t x, const mpq_t second,
                           bool has_second, mpq_t out) {
    switch (function) {
    case FUNCTION_SQRT:
        if (has_second && (!is_integer(second) || !mpz_fits_ulong_p(mpq_numref(second))))
            return false;
        return exact_root(budget, x, has_second ? mpz_get_ui(mpq_numref(second)) : 2, out);
    case FUNCTION_ABS:
        mpq_abs(out, x);
        return true;
    case FUNCTION_FLOOR:
        mpz_fdiv_q(mpq_numref(out), mpq_numref(x), mpq_denref(x));
        mpz_set_ui(mpq_denref(out), 1);
        return true;
    case FUNCTION_CEIL:
        mpz_cdiv_q(mpq_numref(out), mpq_numref(x), mpq_denref(x));
        mpz_set_ui(mpq_denref(out), 1);
        return true;
    case FUNCTION_FACTORIAL:
        return exact_count(budget, false, x, second, out);
    case FUNCTION_BINOMIAL:
        return has_second && exact_count(budget, true, x, second, out);
    default:
        return false;
    }
}

static bool add(struct budget *budget, const mpq_t next, mpq_t out) {
    mpq_add(out, out, next);
    return pay(budget, out, next);
}

static bool multiply(struct budget *budget, const mpq_t next, mpq_t out) {
    const bool paid = pay(budget, out, next);
    if (paid)
        mpq_mul(out, out, next);
    return paid;
}

/* A sum, a product, min and its like: from the first child on. */
static bool exact_fold(struct budget *budget, struct item item, mpq_t out) {
    const struct node *node = item_node(item);
    bool exact = node->first != TREE_NONE && value_exact(budget, item_at(item, node->first), out);
    mpq_t next;
    mpq_init(next);
    for (int child = tree_second(item.tree, item.node); exact && child != TREE_NONE;
         child = item.tree->nodes[child].next) {
        exact = value_exact(budget, item_at(item, child), next);
        if (exact && node->kind == NODE_FUNCTION)
            exact = pay(budget, out, next) && exact_gather(node->detail, next, out);
        else if (exact)
            exact = node->kind == NODE_SUM ? add(budget, next, out) : multiply(budget, next, out);
    }
    mpq_clear(next);
    return exact;
}

/* Powers, and functions of one or two. */
static bool exact_pair(struct budget *budget, struct item item, mpq_t out) {
    const struct node *node = item_node(item);
    const int second = tree_second(item.tree, item.node);
    mpq_t x, y;
    item.bare = false;
    mpq_inits(x, y, NULL);
    bool exact = value_exact(budget, item_at(item, node->first), x) &&
                 (second == TREE_NONE || value_exact(budget, item_at(item, second), y));
    if (exact && node->kind == NODE_POWER)
        exact = exact_power(budget, x, y, out);
    else if (exact)
        exact = exact_function(budget, node->detail, x, y, second != TREE_NONE, out);
    mpq_clears(x, y, NULL);
    return exact;
}

/* A change of the child's value. */
static bool exact_change(struct budget *budget, struct item item, mpq_t out) {
    const struct node *node = item_node(item);
    if ((node->kind == NODE_DEGREE && !item.bare) ||
        !value_exact(budget, item_at(item, node->first), out))
        return false;
    if (node->kind == NODE_NEGATE ||
        (node->kind == NODE_PLUS_MINUS && node->detail * item.sign < 0))
        mpq_neg(out, out);
    if (node->kind == NODE_INVERT) {
        if (mpq_sgn(out) == 0)
            return false;
        mpq_inv(out, out);
    }
    if (node->kind == NODE_PERCENT && !item.bare) {
        mpz_mul_ui(mpq_denref(out), mpq_denref(out), 100);
        mpq_canonicalize(out);
    }
    return true;
}

static bool exact_node(struct budget *budget, struct item item, mpq_t out) {
    const struct node *node = item_node(item);
    if (!budget_take(budget, 4))
        return false;
    switch (node->kind) {
    case NODE_NUMBER:
    case NODE_BASED:
        return exact_number(budget, node, out);
    case NODE_SUM:
    case NODE_PRODUCT:
        return exact_fold(budget, item, out);
    case NODE_NEGATE:
    case NODE_INVERT:
    case NODE_PLUS_MINUS:
    case NODE_PERCENT:
    case NODE_DEGREE:
    case NODE_UNIT:
        return exact_change(budget, item, out);
    case NODE_FUNCTION:
        if (node->detail >= FUNCTION_MIN && node->detail <= FUNCTION_LCM)
            return exact_fold(budget, item, out);
        return node->detail <= FUNCTION_BINOMIAL && exact_pair(budget, item, out);
    case NODE_POWER:
        return exact_pair(budget, item, out);
    default:
        return false;
    }
}

bool value_exact(struct budget *budget, struct item item, mpq_t out) {
    const int factor = item.factor;
    mpq_t scale;
    item.factor = TREE_NONE;
    if (factor == TREE_NONE)
        return exact_node(budget, item, out);
    mpq_init(scale);
    const bool exact = exact_node(budget, item_at(item, factor), scale) &&
                       exact_node(budget, item, out) && multiply(budget, scale, out);
    mpq_clear(scale);
    return exact;
}
