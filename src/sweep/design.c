/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep/design.h"

#include <stddef.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHJKLMNOPQ"; /* I is the word of no letter */

static int letter_index(char letter) {
    const char *const at = letter == '\0' ? NULL : strchr(alphabet, letter);
    return at == NULL ? -1 : (int)(at - alphabet);
}

static uint32_t bit(int factor) {
    return UINT32_C(1) << factor;
}

static int length_of(uint32_t letters) {
    int length = 0;
    for (; letters != 0; letters &= letters - 1)
        length++;
    return length;
}

/* Order of length, then of the alphabet. */
static bool is_before(uint32_t a, uint32_t b) {
    if (length_of(a) != length_of(b))
        return length_of(a) < length_of(b);
    const uint32_t differ = a ^ b;
    return (a & differ & (~differ + 1)) != 0; /* the first letter that only one has */
}

/* --- generators --- */

/* "D=-ABC", blanks anywhere. */
static enum status read_generator(struct design *design, const char *text) {
    char quoted[STATUS_QUOTE_MAX];
    struct design_word word = {.sign = 1};
    int target = -1, equals = 0;
    bool good = true;
    for (const char *c = text; *c != '\0' && good; c++) {
        const int letter = letter_index(*c);
        if (*c == ' ')
            continue;
        if (*c == '=')
            good = target >= 0 && equals++ == 0;
        else if (*c == '-' || *c == '+') {
            good = equals == 1 && word.letters == 0;
            word.sign = *c == '-' ? -1 : 1;
        } else if (letter < 0 || letter >= design->factors)
            good = false;
        else if (equals == 0) {
            good = target < 0;
            target = letter;
        } else {
            good = (word.letters & bit(letter)) == 0;
            word.letters |= bit(letter);
        }
    }
    if (!good || target < 0 || word.letters == 0)
        return FAIL(
            STATUS_INPUT,
            "the generator %s is none: it is a factor and the product that it is set to, as "
            "\"C=AB\", of the letters %.*s",
            status_quote(quoted, text, SIZE_MAX), design->factors, alphabet);
    if (design->generator[target].letters != 0)
        return FAIL(STATUS_INPUT, "the factor %c has two generators", alphabet[target]);
    design->generator[target] = word;
    return STATUS_OK;
}

static enum status check_basic(const struct design *design, int target) {
    const uint32_t letters = design->generator[target].letters;
    for (int factor = 0; factor < design->factors; factor++)
        if ((letters & bit(factor)) != 0 && design->generator[factor].letters != 0)
            return FAIL(STATUS_INPUT,
                        "the generator of %c names %c, which has a generator itself: name factors "
                        "without one",
                        alphabet[target], alphabet[factor]);
    return STATUS_OK;
}

/* Splits the factors into basic ones and words of the defining relation. */
static enum status sort_factors(struct design *design) {
    int basics = 0, words = 0;
    for (int factor = 0; factor < design->factors; factor++) {
        const struct design_word *const generator = &design->generator[factor];
        if (generator->letters == 0) {
            design->basic[basics++] = factor;
            continue;
        }
        TRY(check_basic(design, factor));
        design->words[words++] = (struct design_word){.letters = generator->letters | bit(factor),
                                                      .sign = generator->sign};
    }
    return STATUS_OK;
}

/* Two factors that are aliases of each other, or one that never changes. */
static enum status check_resolution(const struct design *design) {
    char letters[DESIGN_WORD_MAX];
    for (int64_t i = 0; i < design_relation_count(design); i++) {
        const struct design_word word = design_relation(design, i);
        if (length_of(word.letters) < 3)
            return FAIL(STATUS_INPUT,
                        "the generators make I = %s%s, so that effects of single factors cannot be "
                        "told apart: give a factor the product of others",
                        word.sign < 0 ? "-" : "", design_letters(word.letters, letters));
    }
    return STATUS_OK;
}

enum status design_init(struct design *design, int factors, char *const *generators,
                        int generator_count) {
    *design = (struct design){.factors = factors, .generators = generator_count};
    if (factors < 1 || factors > DESIGN_FACTORS_MAX)
        return FAIL(STATUS_INPUT, "a design has 1 to %d factors, not %d", DESIGN_FACTORS_MAX,
                    factors);
    for (int i = 0; i < generator_count; i++)
        TRY(read_generator(design, generators[i]));
    TRY(sort_factors(design));
    if (factors - generator_count > 10)
        return FAIL(STATUS_INPUT,
                    "%d factors with %d generators make %lld runs; at most %d are made: give %d "
                    "more factors a generator",
                    factors, generator_count, 1LL << (factors - generator_count), DESIGN_RUNS_MAX,
                    factors - generator_count - 10);
    design->runs = 1 << (factors - generator_count);
    return check_resolution(design);
}

/* --- levels and words --- */

int design_level(const struct design *design, int run, int factor) {
    const struct design_word *const generator = &design->generator[factor];
    if (generator->letters != 0)
        return generator->sign * design_product(design, run, generator->letters);
    int place = 0;
    while (design->basic[place] != factor)
        place++;
    return (run >> place & 1) != 0 ? 1 : -1;
}

int design_product(const struct design *design, int run, uint32_t letters) {
    int product = 1;
    for (int factor = 0; factor < design->factors; factor++)
        if ((letters & bit(factor)) != 0)
            product *= design_level(design, run, factor);
    return product;
}

int64_t design_relation_count(const struct design *design) {
    return (INT64_C(1) << design->generators) - 1;
}

struct design_word design_relation(const struct design *design, int64_t i) {
    struct design_word product = {.sign = 1};
    for (int g = 0; g < design->generators; g++)
        if (((i + 1) >> g & 1) != 0) {
            product.letters ^= design->words[g].letters;
            product.sign *= design->words[g].sign;
        }
    return product;
}

int design_resolution(const struct design *design) {
    int least = 0;
    for (int64_t i = 0; i < design_relation_count(design); i++) {
        const int length = length_of(design_relation(design, i).letters);
        least = least == 0 || length < least ? length : least;
    }
    return least;
}

struct design_word design_alias(const struct design *design, uint32_t letters, int64_t i) {
    struct design_word alias = design_relation(design, i);
    alias.letters ^= letters;
    return alias;
}

bool design_comes_first(const struct design *design, uint32_t letters) {
    for (int64_t i = 0; i < design_relation_count(design); i++)
        if (is_before(design_alias(design, letters, i).letters, letters))
            return false;
    return true;
}

const char *design_letters(uint32_t letters, char out[DESIGN_WORD_MAX]) {
    int length = 0;
    for (int factor = 0; factor < DESIGN_FACTORS_MAX; factor++)
        if ((letters & bit(factor)) != 0)
            out[length++] = alphabet[factor];
    if (length == 0)
        out[length++] = 'I';
    out[length] = '\0';
    return out;
}
