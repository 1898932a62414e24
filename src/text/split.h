/* SPDX-License-Identifier: Apache-2.0
 *
 * Pre-tokenization: a text is cut into pieces, no merge crosses a cut. A splitter is a row of
 * rules; each cuts the pieces of the one before, seeing one piece alone. Every rule is a regular
 * expression that fits at every place, so that pieces follow one another without a gap.
 */
#ifndef TEXT_SPLIT_H
#define TEXT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define SPLIT_RULES_MAX 4

/* tokenizer.json's name or expression, for those that are known */
enum split_rule {
    SPLIT_QWEN2,  /* Split, a digit at a time */
    SPLIT_LLAMA3, /* Split, digits in threes */
    SPLIT_GPT2,   /* ByteLevel with use_regex */
    SPLIT_DIGIT,  /* Digits with individual_digits */
    SPLIT_DIGITS, /* Digits without */
    SPLIT_RULE_COUNT
};

struct splitter {
    void *codes[SPLIT_RULES_MAX], *matches[SPLIT_RULES_MAX]; /* PCRE2's */
    void *limits;
    int count;
};

/* The rule whose expression in a Split step is `pattern`; false when none. */
bool split_find(const char *pattern, enum split_rule *rule);

/* The expression of a rule that a Split step may have. */
const char *split_pattern(enum split_rule rule);

/* A splitter begins zeroed and is released. At most SPLIT_RULES_MAX rules. */
enum status splitter_add(struct splitter *splitter, enum split_rule rule) MUST_USE;
void splitter_release(struct splitter *splitter);

/* Calls `visit` for the pieces of valid UTF-8, in order, none of them empty. */
enum status splitter_run(struct splitter *splitter, const char *text, size_t length,
                         enum status (*visit)(void *context, const char *piece, size_t length),
                         void *context) MUST_USE;

#endif
