/* SPDX-License-Identifier: Apache-2.0
 *
 * Rewards: the text of an answer and the prompt's reference in, a number out. Every rule here
 * takes time linear in the length of text and reference, beside a bounded part, so that no
 * answer can stall a run. To add one: write reward_NAME.c, declare it below, add a line to
 * reward.c.
 *
 * Two rules are not of this program and have no `score`: a program that is asked by JSON lines
 * (reward/program.h), and a function in a shared object (reward/library.h), whose C interface is
 * reward/plugin.h.
 */
#ifndef REWARD_REWARD_H
#define REWARD_REWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/answer.h"
#include "base/status.h"

struct reward_input {
    const char *text; /* UTF-8, without special tokens; may hold zero bytes */
    size_t length;
    const char *reference; /* the prompt's reference answer */
    size_t reference_length;
    int64_t tokens;                     /* of the answer, the stop id included */
    int64_t max_new_tokens;             /* of the run */
    int64_t overlong_from, overlong_to; /* tokens; the second is the larger one */
    const struct answer_rules *rules;   /* of math; NULL: the usual ones */
    /* Of format and answer; NULL: those of <think> and <answer> */
    const struct extract_tags *think, *answer;
    /* What only rewards from outside look at */
    const char *prompt; /* the user's turn, the template filled in */
    size_t prompt_length;
    const char *finish_reason;         /* "stop", "length", "stop_text", "forced" */
    int64_t step, group, answer_index; /* from 1; from 0; from 0 */
    int64_t source, row;               /* of the prompt: index into data.train, 0-based line */
};

struct reward_rule {
    const char *name, *text;
    double (*score)(const struct reward_input *input); /* NULL: a reward from outside */
    /* What it takes for the answer, a part of the text; false where the text gives none. NULL: the rule
     * looks for none, and its score is no verdict. */
    bool (*extract)(const struct reward_input *input, struct span *out);
};

/* format: the levels of the gate paper's eq. 10. 1 for one think block and one answer block in this
 * order, each tag once, nothing else but white space around and between; else 0.5 for a text that
 * begins with <think> and ends with </answer>, 0.25 when one of the two holds, 0 when none does.
 *
 * answer: 1 when the content of the last closed <answer> block equals the reference, else 0: the
 * same text once trimmed, or the same number. A number is an optional sign, digits, plain or in
 * groups of three with commas, with an optional decimal point, and an optional exponent; numbers
 * are compared as exact decimals, so 1,000.50 equals 1.0005e3.
 *
 * math: 1 when the answer that the text gives, wherever its rules look for one, means the same
 * as the reference, else 0 (answer/answer.h).
 *
 * length: tokens / max_new_tokens.
 *
 * overlong: 0 up to overlong_from tokens, then falling as a line to −1 at overlong_to and beyond.
 *
 * White space is Unicode's, as Python's str.strip() has it. */
extern const struct reward_rule reward_format, reward_answer, reward_math, reward_length,
    reward_overlong, reward_outside_program, reward_outside_plugin;

/* The tags of an input, or the usual ones. */
const struct extract_tags *reward_think_tags(const struct reward_input *input);
const struct extract_tags *reward_answer_tags(const struct reward_input *input);

/* All rules in help order; reward_find gives NULL for an unknown name. */
const struct reward_rule *const *reward_list(int *count);
const struct reward_rule *reward_find(const char *name);

#endif
