/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/scalar.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "answer/plain.h"
#include "answer/vocabulary.h"

enum { POINTS = 5, POINTS_MODULAR = 3 };

enum answer { NO, YES, UNKNOWN };

bool scalar_near(double a, double b) {
    return a == b || fabs(a - b) <= SCALAR_PRECISION * fmax(fabs(a), fabs(b));
}

/* --- rational numbers --- */

/* Whether it is a number with finitely many decimals. */
static bool has_finite_decimals(const mpq_t value) {
    static const unsigned long primes[] = {2, 5};
    mpz_t rest, prime;
    mpz_init_set(rest, mpq_denref(value));
    mpz_init(prime);
    for (int i = 0; i < 2; i++) {
        mpz_set_ui(prime, primes[i]);
        mpz_remove(rest, rest, prime);
    }
    const bool finite = mpz_cmp_ui(rest, 1) == 0;
    mpz_clear(prime);
    mpz_clear(rest);
    return finite;
}

static bool within(double difference, double a, double b, double tolerance) {
    return fabs(difference) <= tolerance * fmax(fabs(a), fabs(b)) * (1.0 + 1e-9);
}

static bool rationals_near(const mpq_t a, const mpq_t b, double tolerance) {
    if (has_finite_decimals(a) && has_finite_decimals(b))
        return false;
    mpq_t difference;
    mpq_init(difference);
    mpq_sub(difference, a, b);
    const bool near = within(mpq_get_d(difference), mpq_get_d(a), mpq_get_d(b), tolerance);
    mpq_clear(difference);
    return near;
}

static enum answer equal_exactly(struct grader *grader, struct item a, struct item b,
                                 double tolerance) {
    mpq_t x, y;
    enum answer answer = UNKNOWN;
    mpq_inits(x, y, NULL);
    if (value_exact(&grader->budget, a, x) && value_exact(&grader->budget, b, y))
        answer = mpq_equal(x, y) || (tolerance > 0.0 && rationals_near(x, y, tolerance)) ? YES : NO;
    mpq_clears(x, y, NULL);
    return answer;
}

/* --- expressions --- */

/* In the field: NO and YES are as good as proofs. */
static enum answer equal_in_field(struct grader *grader, struct item a, struct item b) {
    int points = 0;
    for (int k = 0; k < POINTS_MODULAR; k++) {
        const struct point point = {.seed = grader->seed, .number = k};
        uint64_t x, y;
        if (!value_modular(&grader->budget, a, &point, &x) ||
            !value_modular(&grader->budget, b, &point, &y))
            continue;
        points++;
        if (x != y)
            return NO;
    }
    return points > 0 ? YES : UNKNOWN;
}

/* Within the tolerance, or within the rounding of terms that cancelled. */
static bool near_complex(struct grader *grader, double complex a, double complex b,
                         double tolerance) {
    const double rounding = 16.0 * DBL_EPSILON * grader->budget.largest;
    return cabs(a - b) <= tolerance * fmax(cabs(a), cabs(b)) * (1.0 + 1e-9) + rounding;
}

/* With variables at several points; at negative ones only real values count, since there the
 * functions of complex numbers have branches that nobody means. */
static enum answer equal_numerically(struct grader *grader, struct item a, struct item b,
                                     bool decimal_logs, double tolerance) {
    const bool symbols =
        tree_content(a.tree, a.node).symbols || tree_content(b.tree, b.node).symbols;
    int points = 0;
    for (int k = 0; k < (symbols ? POINTS : 1); k++) {
        const struct point point = {
            .seed = grader->seed, .number = k, .decimal_logs = decimal_logs, .negative = k >= 3};
        double complex x, y;
        grader->budget.largest = 0.0;
        const bool first = value_numeric(&grader->budget, a, &point, &x),
                   second = value_numeric(&grader->budget, b, &point, &y);
        if (!first && !second)
            continue;
        if (point.negative && (!first || !second || cimag(x) != 0.0 || cimag(y) != 0.0))
            continue;
        if (!first || !second || !near_complex(grader, x, y, tolerance))
            return NO;
        points++;
    }
    return points > 0 ? YES : UNKNOWN;
}

/* The rest, where the rationals do not decide. */
static bool equal_otherwise(struct grader *grader, struct item a, struct item b, double tolerance) {
    const bool logs = tree_content(a.tree, a.node).log != tree_content(b.tree, b.node).log;
    enum answer numeric =
        equal_numerically(grader, a, b, false, tolerance > 0.0 ? tolerance : SCALAR_PRECISION);
    if (numeric == NO && logs)
        numeric = equal_numerically(grader, a, b, true, SCALAR_PRECISION);
    if (numeric == NO || (numeric == YES && tolerance > 0.0))
        return numeric == YES;
    const enum answer field = equal_in_field(grader, a, b);
    return field == YES || (field == UNKNOWN && numeric == YES);
}

/* Equal as they stand. A number in a base stands for its value beside another, and else for its
 * digits: 4210_7 is 4210 when that is all that is said, but not 1477. */
static bool equal_values(struct grader *grader, struct item a, struct item b) {
    const struct node *x = item_node(a), *y = item_node(b);
    const bool based = x->kind == NODE_BASED, other = y->kind == NODE_BASED,
               whole = a.factor == TREE_NONE && b.factor == TREE_NONE;
    if (based != other && (x->kind == NODE_NUMBER || y->kind == NODE_NUMBER))
        return decimal_equal(&x->number, &y->number);
    if (based != other)
        return false;
    if (based && whole && x->detail == y->detail)
        return decimal_equal(&x->number, &y->number);
    if (x->kind == NODE_NUMBER && y->kind == NODE_NUMBER && whole)
        return decimal_equal(&x->number, &y->number);
    const double tolerance =
        tree_content(a.tree, a.node).points || tree_content(b.tree, b.node).points
            ? grader->tolerance
            : 0.0;
    const enum answer exact = equal_exactly(grader, a, b, tolerance);
    return exact == UNKNOWN ? equal_otherwise(grader, a, b, tolerance) : exact == YES;
}

/* --- signs and units --- */

/* The text of the unit that all of it is counted in, empty when there is none. */
static struct span unit_text(struct item item) {
    const struct node *node = item_node(item);
    while (node->kind == NODE_NEGATE || node->kind == NODE_PLUS_MINUS)
        node = &item.tree->nodes[node->first];
    return node->kind == NODE_UNIT ? node->text : (struct span){NULL, 0};
}

/* The word of a unit that is one, without what \text left around it. */
static struct unit unit_of(struct span text) {
    size_t end = 0;
    while (end < text.length && ((text.text[end] >= 'a' && text.text[end] <= 'z') ||
                                 (text.text[end] >= 'A' && text.text[end] <= 'Z')))
        end++;
    for (size_t i = end; i < text.length; i++)
        if (strchr(" }.", text.text[i]) == NULL)
            return (struct unit){0, 1.0};
    return vocabulary_unit((struct span){text.text, end});
}

/* NO and YES where both sides have units that are known; they are converted. */
static enum answer equal_with_units(struct grader *grader, struct item a, struct item b) {
    const struct span x = unit_text(a), y = unit_text(b);
    if (x.length == 0 || y.length == 0 || plain_equal(x, y, true))
        return UNKNOWN;
    const struct unit p = unit_of(x), q = unit_of(y);
    double first, second;
    if (p.kind == 0 || q.kind == 0 || (p.kind == q.kind && p.size == q.size))
        return UNKNOWN;
    if (p.kind != q.kind || !value_real(&grader->budget, a, &first) ||
        !value_real(&grader->budget, b, &second))
        return NO;
    return scalar_near(first * p.size, second * q.size) ? YES : NO;
}

/* 5 m, where m is a unit and no variable: the 5; TREE_NONE when it is something else. */
static int without_letter_unit(struct item item) {
    static const char letters[] = "msghLNJVWA";
    const struct node *node = item_node(item);
    const int second = tree_second(item.tree, item.node);
    if (node->kind != NODE_PRODUCT || node->count != 2 ||
        tree_content(item.tree, node->first).symbols ||
        item.tree->nodes[second].kind != NODE_SYMBOL)
        return TREE_NONE;
    for (const char *letter = letters; *letter != '\0'; letter++)
        if (item.tree->nodes[second].name == tree_name(TREE_NAME_START, (struct span){letter, 1}))
            return node->first;
    return TREE_NONE;
}

static bool equal_bare(struct grader *grader, struct item a, struct item b) {
    const struct tree_content x = tree_content(a.tree, a.node), y = tree_content(b.tree, b.node);
    if (x.percent == y.percent && x.degree == y.degree)
        return false;
    a.bare = b.bare = true;
    return equal_values(grader, a, b);
}

/* Written alike: equal even where nobody can say what they are worth, as 9^{9^{9^9}}. */
static bool same_writing(struct grader *grader, struct item a, struct item b) {
    const struct node *x = item_node(a), *y = item_node(b);
    if (!budget_take(&grader->budget, 1) || x->kind != y->kind || x->count != y->count ||
        x->detail != y->detail || x->name != y->name || a.sign != b.sign)
        return false;
    if ((x->kind == NODE_NUMBER || x->kind == NODE_BASED) && !decimal_equal(&x->number, &y->number))
        return false;
    int second = y->first;
    for (int first = x->first; first != TREE_NONE; first = a.tree->nodes[first].next) {
        if (!same_writing(grader, item_at(a, first), item_at(b, second)))
            return false;
        second = b.tree->nodes[second].next;
    }
    return true;
}

bool scalar_equal(struct grader *grader, struct item given, struct item wanted) {
    const enum answer units = equal_with_units(grader, given, wanted);
    if (units != UNKNOWN)
        return units == YES;
    if ((given.factor == TREE_NONE && wanted.factor == TREE_NONE &&
         same_writing(grader, given, wanted)) ||
        equal_values(grader, given, wanted) || equal_bare(grader, given, wanted))
        return true;
    const int number = without_letter_unit(given);
    return number != TREE_NONE && !tree_content(wanted.tree, wanted.node).symbols &&
           equal_values(grader, item_at(given, number), wanted);
}

/* --- proportion --- */

static bool difference_in_field(struct grader *grader, const struct item sides[2], int number,
                                uint64_t *out) {
    const struct point point = {.seed = grader->seed, .number = number};
    uint64_t x, y;
    if (!value_modular(&grader->budget, sides[0], &point, &x) ||
        !value_modular(&grader->budget, sides[1], &point, &y))
        return false;
    *out = modular_subtract(x, y);
    return true;
}

static enum answer proportional_in_field(struct grader *grader, const struct item a[2],
                                         const struct item b[2]) {
    uint64_t first[2] = {0, 0};
    for (int k = 0; k < POINTS_MODULAR; k++) {
        uint64_t x, y;
        if (!difference_in_field(grader, a, k, &x) || !difference_in_field(grader, b, k, &y))
            return UNKNOWN;
        if (k == 0) {
            first[0] = x;
            first[1] = y;
        }
        if (x == 0 || y == 0 || modular_multiply(first[0], y) != modular_multiply(first[1], x))
            return NO;
    }
    return YES;
}

static bool difference(struct grader *grader, const struct item sides[2], const struct point *point,
                       double complex *out) {
    double complex x, y;
    if (!value_numeric(&grader->budget, sides[0], point, &x) ||
        !value_numeric(&grader->budget, sides[1], point, &y))
        return false;
    *out = x - y;
    return true;
}

bool scalar_proportional(struct grader *grader, const struct item a[2], const struct item b[2],
                         bool *positive) {
    double complex ratio = 0.0;
    int points = 0;
    for (int k = 0; k < 3; k++) {
        const struct point point = {.seed = grader->seed, .number = k};
        double complex x, y;
        grader->budget.largest = 0.0;
        if (!difference(grader, a, &point, &x) || !difference(grader, b, &point, &y))
            continue;
        if (x == 0.0 || y == 0.0 || (points > 0 && !near_complex(grader, x, ratio * y, 1e-8)))
            return false;
        ratio = x / y;
        points++;
    }
    *positive = creal(ratio) > 0.0;
    return points >= 2 && cimag(ratio) == 0.0 && proportional_in_field(grader, a, b) != NO;
}
