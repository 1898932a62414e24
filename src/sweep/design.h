/* SPDX-License-Identifier: Apache-2.0
 *
 * Two-level designs of k factors in 2^(k - p) runs, full (p = 0) or fractional. Factors are letters,
 * A, B, C … without I, which is the word of no letter; a set of them is a word, as bits, A the lowest.
 *
 * Each of p generators, "D=ABC" or "D=-ABC", sets one factor to a product of others (±1 each). Then the
 * word DABC is the same in every run, as is each product of such words: they are the defining relation,
 * I = ABCD. Effects of two words whose product is in it cannot be told apart: they are aliases. The
 * resolution is the length of the shortest word; 3 is the least that is taken here: no factor is the
 * alias of another. (Box and Hunter 1961; Box, Hunter, Hunter, Statistics for Experimenters.)
 *
 * Run r has the basic factors, those without a generator, at high where the bits of r say so: the
 * first of them changes from each run to the next (standard order).
 */
#ifndef SWEEP_DESIGN_H
#define SWEEP_DESIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { DESIGN_FACTORS_MAX = 16, DESIGN_RUNS_MAX = 1024 };

/* A word, and whether its product is +1 or -1 in all runs; as an alias, which sign its effect has. */
struct design_word {
    uint32_t letters;
    int sign;
};

struct design {
    int factors, generators, runs;
    int basic[DESIGN_FACTORS_MAX];                    /* (factors - generators) which ones */
    struct design_word generator[DESIGN_FACTORS_MAX]; /* (factors) letters 0: it is basic */
    struct design_word words[DESIGN_FACTORS_MAX];     /* (generators) of the defining relation */
};

/* Refuses, with STATUS_INPUT, more factors or runs than there may be, a generator that is none, one of
 * a factor that has one already or of factors that are not basic, and a resolution below 3. */
enum status design_init(struct design *design, int factors, char *const *generators,
                        int generator_count) MUST_USE;

/* -1 or 1: the level of a factor in a run; of a word the product of those of its letters. */
int design_level(const struct design *design, int run, int factor);
int design_product(const struct design *design, int run, uint32_t letters);

/* The words of the defining relation but I, 2^p - 1 of them, and the i-th. */
int64_t design_relation_count(const struct design *design);
struct design_word design_relation(const struct design *design, int64_t i);

/* Letters of the shortest word of the defining relation; 0: a full factorial, which has none. */
int design_resolution(const struct design *design);

/* Alias i of a word, of design_relation_count: its product with word i of the relation. */
struct design_word design_alias(const struct design *design, uint32_t letters, int64_t i);

/* Whether the word comes first, in order of length and then of the alphabet, among its aliases. */
bool design_comes_first(const struct design *design, uint32_t letters);

/* "ABD", "I" for no letter. Returns out. */
enum { DESIGN_WORD_MAX = DESIGN_FACTORS_MAX + 1 };
const char *design_letters(uint32_t letters, char out[DESIGN_WORD_MAX]);

#endif
