/* SPDX-License-Identifier: Apache-2.0
 *
 * Values in double precision. Real arguments take the real functions, which are the more exact.
 */
#include "answer/value.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static bool is_real(double complex z) {
    return cimag(z) == 0.0;
}

static bool is_finite(double complex z) {
    return isfinite(creal(z)) && isfinite(cimag(z));
}

/* The first digits, and the exponent of the rest. */
static double numeric_number(const struct decimal *number) {
    double value = 0.0;
    int count = 0;
    for (size_t i = 0; count < 18;) {
        const char digit = decimal_next_digit(number->digits, &i);
        if (digit == '\0')
            break;
        value = 10.0 * value + (digit - '0');
        count++;
    }
    const double shift = (double)number->exponent - count;
    if (value == 0.0 || (shift >= -22 && shift <= 22)) /* 10^22 is the last that a double holds */
        return shift < 0 ? value / pow(10.0, -shift) : value * pow(10.0, shift);
    return (double)((long double)value * powl(10.0L, (long double)shift));
}

static double numeric_based(const struct node *node) {
    double value = 0.0;
    int64_t count = 0;
    for (size_t i = 0;; count++) {
        const char digit = decimal_next_digit(node->number.digits, &i);
        if (digit == '\0')
            break;
        value = node->detail * value + (digit - '0');
    }
    return value * pow(node->detail, (double)(node->number.exponent - count));
}

/* A number of the order of 1: positive, or at points with `negative` of either sign. */
static double numeric_symbol(uint64_t name, const struct point *point) {
    const uint64_t bits = value_mix(point->seed, name, (uint64_t)point->number);
    const double value = 0.4 + 2.0 * (double)(bits >> 11) * 0x1p-53;
    return point->negative && (bits & 1) ? -value : value;
}

static double complex integer_power(double complex base, int exponent) {
    double complex result = 1.0;
    for (unsigned n = exponent < 0 ? -(unsigned)exponent : (unsigned)exponent; n > 0; n >>= 1) {
        if (n & 1)
            result *= base;
        base *= base;
    }
    return exponent < 0 ? 1.0 / result : result;
}

static double complex numeric_power(double complex base, double complex exponent) {
    const double n = creal(exponent);
    if (is_real(base) && is_real(exponent) && (creal(base) >= 0.0 || n == floor(n)))
        return pow(creal(base), n);
    if (is_real(exponent) && n == floor(n) && fabs(n) < 1e6)
        return integer_power(base, (int)n);
    return cpow(base, exponent);
}

/* Odd roots of negative numbers are real. */
static double complex numeric_root(double complex x, double complex degree) {
    const double n = creal(degree);
    if (!is_real(degree) || n == 0.0)
        return NAN;
    if (is_real(x) && n == 2.0)
        return creal(x) >= 0.0 ? sqrt(creal(x)) : I * sqrt(-creal(x));
    if (is_real(x) && creal(x) < 0.0 && fmod(n, 2.0) != 0.0 && n == floor(n))
        return n == 3.0 ? cbrt(creal(x)) : -pow(-creal(x), 1.0 / n);
    return numeric_power(x, 1.0 / n);
}

static double complex numeric_log(double complex x) {
    return is_real(x) && creal(x) > 0.0 ? log(creal(x)) : clog(x);
}

static double complex real_function(int function, double x) {
    switch (function) {
    case FUNCTION_SIN:
        return sin(x);
    case FUNCTION_COS:
        return cos(x);
    case FUNCTION_TAN:
        return tan(x);
    case FUNCTION_COT:
        return 1.0 / tan(x);
    case FUNCTION_SEC:
        return 1.0 / cos(x);
    case FUNCTION_CSC:
        return 1.0 / sin(x);
    case FUNCTION_ARCTAN:
        return atan(x);
    case FUNCTION_ARCCOT:
        return pi / 2 - atan(x);
    case FUNCTION_SINH:
        return sinh(x);
    case FUNCTION_COSH:
        return cosh(x);
    case FUNCTION_TANH:
        return tanh(x);
    case FUNCTION_ARCSIN:
        return fabs(x) <= 1.0 ? asin(x) : NAN;
    case FUNCTION_ARCCOS:
        return fabs(x) <= 1.0 ? acos(x) : NAN;
    case FUNCTION_FLOOR: /* of what is an integer but for rounding, that one */
        return floor(x + 1e-9 * (1.0 + fabs(x)));
    case FUNCTION_CEIL:
        return ceil(x - 1e-9 * (1.0 + fabs(x)));
    case FUNCTION_FACTORIAL:
        return x > -1.0 ? tgamma(x + 1.0) : NAN;
    default:
        return NAN;
    }
}

static double complex complex_function(int function, double complex z) {
    switch (function) {
    case FUNCTION_SIN:
        return csin(z);
    case FUNCTION_COS:
        return ccos(z);
    case FUNCTION_TAN:
        return ctan(z);
    case FUNCTION_SINH:
        return csinh(z);
    case FUNCTION_COSH:
        return ccosh(z);
    case FUNCTION_TANH:
        return ctanh(z);
    default:
        return NAN;
    }
}

static double complex numeric_function(int function, double complex x, double complex second,
                                       bool has_second, const struct point *point) {
    switch (function) {
    case FUNCTION_SQRT:
        return numeric_root(x, has_second ? second : 2.0);
    case FUNCTION_ABS:
        return cabs(x);
    case FUNCTION_EXP:
        return is_real(x) ? exp(creal(x)) : cexp(x);
    case FUNCTION_LN:
        return numeric_log(x);
    case FUNCTION_LOG:
        if (has_second)
            return numeric_log(x) / numeric_log(second);
        return point->decimal_logs ? numeric_log(x) / log(10.0) : numeric_log(x);
    case FUNCTION_BINOMIAL:
        return has_second && is_real(x) && is_real(second)
                   ? tgamma(creal(x) + 1) / tgamma(creal(second) + 1) /
                         tgamma(creal(x) - creal(second) + 1)
                   : NAN;
    default:
        return is_real(x) ? real_function(function, creal(x)) : complex_function(function, x);
    }
}

static bool numeric_pair(struct budget *budget, struct item item, const struct point *point,
                         double complex *out) {
    const struct node *node = item_node(item);
    const int second = tree_second(item.tree, item.node);
    double complex x, y = 0.0;
    item.bare = false;
    if (node->count > 2 || !budget_take(budget, 8) ||
        !value_numeric(budget, item_at(item, node->first), point, &x) ||
        (second != TREE_NONE && !value_numeric(budget, item_at(item, second), point, &y)))
        return false;
    *out = node->kind == NODE_POWER
               ? numeric_power(x, y)
               : numeric_function(node->detail, x, y, second != TREE_NONE, point);
    return is_finite(*out);
}

static double complex gather(enum node_kind kind, int function, double complex a,
                             double complex b) {
    if (kind == NODE_SUM)
        return a + b;
    if (kind == NODE_PRODUCT) /* C's product of complex numbers looks for infinities */
        return is_real(a) && is_real(b) ? creal(a) * creal(b)
                                        : creal(a) * creal(b) - cimag(a) * cimag(b) +
                                              I * (creal(a) * cimag(b) + cimag(a) * creal(b));
    if (!is_real(a) || !is_real(b) || (function != FUNCTION_MIN && function != FUNCTION_MAX))
        return NAN;
    return function == FUNCTION_MIN ? fmin(creal(a), creal(b)) : fmax(creal(a), creal(b));
}

static bool numeric_fold(struct budget *budget, struct item item, const struct point *point,
                         double complex *out) {
    const struct node *node = item_node(item);
    if (!value_numeric(budget, item_at(item, node->first), point, out))
        return false;
    for (int child = tree_second(item.tree, item.node); child != TREE_NONE;
         child = item.tree->nodes[child].next) {
        double complex next;
        if (!value_numeric(budget, item_at(item, child), point, &next))
            return false;
        if (node->kind == NODE_SUM)
            budget->largest = fmax(budget->largest, fmax(cabs(*out), cabs(next)));
        *out = gather(node->kind, node->detail, *out, next);
    }
    return is_finite(*out);
}

static bool numeric_change(struct budget *budget, struct item item, const struct point *point,
                           double complex *out) {
    const struct node *node = item_node(item);
    if (!value_numeric(budget, item_at(item, node->first), point, out))
        return false;
    if (node->kind == NODE_NEGATE ||
        (node->kind == NODE_PLUS_MINUS && node->detail * item.sign < 0))
        *out = -*out;
    if (node->kind == NODE_PERCENT && !item.bare)
        *out /= 100.0;
    if (node->kind == NODE_DEGREE && !item.bare)
        *out *= pi / 180.0;
    if (node->kind == NODE_INVERT)
        *out = is_real(*out) ? 1.0 / creal(*out) : 1.0 / *out;
    return is_finite(*out);
}

/* A smooth function that nobody else has. */
static bool numeric_apply(struct budget *budget, struct item item, const struct point *point,
                          double complex *out) {
    const struct point fixed = {.seed = point->seed};
    double complex x;
    if (!value_numeric(budget, item_at(item, item_node(item)->first), point, &x))
        return false;
    *out = ctanh(x * numeric_symbol(item_node(item)->name, &fixed)) + 1.5;
    return is_finite(*out);
}

static double complex numeric_constant(int constant) {
    switch (constant) {
    case CONSTANT_PI:
        return pi;
    case CONSTANT_E:
        return 2.71828182845904523536;
    case CONSTANT_I:
        return I;
    default:
        return INFINITY;
    }
}

static bool numeric_node(struct budget *budget, struct item item, const struct point *point,
                         double complex *out) {
    const struct node *node = item_node(item);
    switch (node->kind) {
    case NODE_NUMBER:
        *out = numeric_number(&node->number);
        return isfinite(creal(*out));
    case NODE_BASED:
        *out = numeric_based(node);
        return isfinite(creal(*out));
    case NODE_SYMBOL:
        *out = numeric_symbol(node->name, point);
        return true;
    case NODE_CONSTANT:
        *out = numeric_constant(node->detail);
        return is_finite(*out);
    case NODE_SUM:
    case NODE_PRODUCT:
        return numeric_fold(budget, item, point, out);
    case NODE_NEGATE:
    case NODE_INVERT:
    case NODE_PLUS_MINUS:
    case NODE_PERCENT:
    case NODE_DEGREE:
    case NODE_UNIT:
        return numeric_change(budget, item, point, out);
    case NODE_FUNCTION:
        if (node->detail >= FUNCTION_MIN && node->detail <= FUNCTION_LCM)
            return numeric_fold(budget, item, point, out);
        return numeric_pair(budget, item, point, out);
    case NODE_POWER:
        return numeric_pair(budget, item, point, out);
    case NODE_APPLY:
        return numeric_apply(budget, item, point, out);
    default:
        return false;
    }
}

bool value_numeric(struct budget *budget, struct item item, const struct point *point,
                   double complex *out) {
    const int factor = item.factor;
    double complex scale = 1.0;
    item.factor = TREE_NONE;
    if (!budget_take(budget, 4) ||
        (factor != TREE_NONE && !numeric_node(budget, item_at(item, factor), point, &scale)) ||
        !numeric_node(budget, item, point, out))
        return false;
    *out = factor == TREE_NONE ? *out : gather(NODE_PRODUCT, 0, *out, scale);
    return is_finite(*out);
}

/* ∞, +∞, −∞. */
static double infinity_of(struct item item) {
    const struct node *node = item_node(item);
    double sign = 1.0;
    for (; node->kind == NODE_NEGATE; node = &item.tree->nodes[node->first])
        sign = -sign;
    return node->kind == NODE_CONSTANT && node->detail == CONSTANT_INFINITY ? sign * INFINITY : 0.0;
}

bool value_real(struct budget *budget, struct item item, double *out) {
    const struct point point = {.seed = 1};
    double complex value;
    *out = infinity_of(item);
    if (*out != 0.0)
        return true;
    if (tree_content(item.tree, item.node).symbols ||
        !value_numeric(budget, item, &point, &value) || !is_real(value))
        return false;
    *out = creal(value);
    return true;
}
