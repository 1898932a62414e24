/* SPDX-License-Identifier: Apache-2.0
 *
 * Benchmarks of a model: the sets of eval.sets, some samples of the model's answer to each of their
 * problems, and what these say. A sample is a function of eval.seed, its problem's row and its number,
 * so neither what else is evaluated nor a limit, the number of ranks or of answers in flight, nor an
 * interruption changes it.
 *
 *     evaluation.c       the problems; verdicts; figures
 *     draw.c             the samples, on all ranks, brought to rank 0
 *     journal.c          samples on disk, as they come, so that a kill costs those in flight alone
 *     evaluation_file.c  eval.h5
 *     estimate.c         pass@k, maj@k, errors
 */
#ifndef EVAL_EVALUATION_H
#define EVAL_EVALUATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "config/settings.h"
#include "data/dataset.h"
#include "data/prompt.h"
#include "eval/estimate.h"
#include "reward/reward.h"
#include "rollout/budgets.h"
#include "rollout/rollout.h"

struct evaluation_sample {
    bool
        drawn; /* known to all ranks before they draw; what follows to who drew it, then to rank 0 */
    enum finish_reason finish;
    int32_t *tokens;               /* (n), the stop id and a forced text included */
    int64_t n, length;             /* length: without a forced text */
    struct strbuf text, extracted; /* the answer, and what in it counts: "" where it gives none */
    bool right;
};

struct evaluation_problem {
    int64_t row; /* 0-based line of the file */
    struct token_list prompt;
    struct utf8_span reference; /* of the data set */
};

struct evaluation_set {
    const struct eval_set *how;
    const struct reward_rule *rule;
    bool skipped; /* nothing of it is drawn */
    struct dataset dataset;
    struct evaluation_problem *problems; /* (count), the first of the file's rows that are taken */
    int64_t count;
    struct evaluation_sample *samples; /* (count, evaluation.samples) */
};

struct evaluation {
    struct settings sampling;    /* borrowed, with eval's seed and sampling in place of rollout's */
    int64_t samples;             /* of each problem */
    struct evaluation_set *sets; /* (set_count) */
    int64_t set_count;
    int64_t longest_prompt;
};

/* Reads the problems of all sets. STATUS_INPUT for what dataset_open refuses, an unknown rule, and a
 * problem that leaves less than eval.max_new_tokens of the model's positions. The settings must
 * outlive it; evaluation_close gives it back, also after a failure. */
enum status evaluation_open(struct evaluation *evaluation, const struct settings *settings,
                            const struct prompt_form *form, int64_t positions) MUST_USE;

/* The budgets of its samples, by the names of eval. */
struct budget_settings evaluation_budgets(const struct evaluation *evaluation);
void evaluation_close(struct evaluation *evaluation);

/* Forgets all samples. */
void evaluation_clear(struct evaluation *evaluation);

/* Samples of problem p of a set. */
static inline struct evaluation_sample *evaluation_samples(const struct evaluation *evaluation,
                                                           const struct evaluation_set *set,
                                                           int64_t p) {
    return set->samples + p * evaluation->samples;
}

/* Samples of all sets that are not skipped, and how many of them are drawn. */
int64_t evaluation_total(const struct evaluation *evaluation, int64_t *drawn);

/* Fills in `extracted` and `right` of a sample whose text and tokens are there. */
enum status evaluation_grade(const struct evaluation *evaluation, const struct evaluation_set *set,
                             int64_t problem, struct evaluation_sample *sample) MUST_USE;

/* A sample that was drawn earlier, as a journal or a file has it. */
struct evaluation_entry {
    const char *set;
    int64_t row, sample;
    enum finish_reason finish;
    const int32_t *tokens; /* (n) */
    int64_t n, length;
};

/* Takes it, unless that sample is there already; STATUS_INPUT where the evaluation has none such. */
enum status evaluation_take(struct evaluation *evaluation, struct tokenizer *tokenizer,
                            const struct evaluation_entry *entry) MUST_USE;

/* --- figures of a set whose samples are all here (rank 0) --- */

/* pass@k with its error; k = 1 is the mean over samples. */
enum status evaluation_pass_at(const struct evaluation *evaluation,
                               const struct evaluation_set *set, int64_t k,
                               struct estimate *out) MUST_USE;

/* maj@k with its error. */
enum status evaluation_majority(const struct evaluation *evaluation,
                                const struct evaluation_set *set, int64_t k,
                                struct estimate *out) MUST_USE;

/* Mean length of a sample in tokens, and share of those that were cut. */
struct evaluation_lengths {
    double mean, clipped_ratio;
};
struct evaluation_lengths evaluation_lengths(const struct evaluation *evaluation,
                                             const struct evaluation_set *set);

/* Appends the figures of all sets as a table for people. */
enum status evaluation_table(const struct evaluation *evaluation, struct strbuf *out) MUST_USE;

#endif
