/* SPDX-License-Identifier: Apache-2.0
 *
 * What the teacher of opsd reads before an answer: prompt and solution in its own template, and with
 * reason_first what it has written itself to the part of the template before {reason}, as tokens,
 * and the tokens of what stands behind.
 */
#ifndef METHOD_TEACHING_H
#define METHOD_TEACHING_H

#include <stdint.h>

#include "base/status.h"
#include "config/settings.h"
#include "data/prompt.h"
#include "rollout/rollout.h"

struct teaching {
    struct prompt_form form; /* of the template, with reason_first of what stands before {reason} */
    char *asks;              /* that part; NULL without */
    struct token_list rest;  /* what stands behind {reason} */
    int64_t reason_tokens;   /* that may come between; 0 without */
};

/* Borrows from the settings and from the student's form. teaching_release gives it back, also after
 * a failure. */
enum status teaching_open(struct teaching *teaching, const struct settings *settings,
                          const struct prompt_form *student) MUST_USE;
void teaching_release(struct teaching *teaching);

/* The longest that the teacher's prompt of a row may become. */
enum status teaching_count(const struct teaching *teaching, const struct dataset_item *item,
                           int64_t *tokens) MUST_USE;

/* The teacher's prompt of a row into its group; with reason_first as far as {reason}. */
enum status teaching_begin(const struct teaching *teaching, const struct dataset_item *item,
                           struct rollout_group *group) MUST_USE;

/* The reason, and what follows it, behind what teaching_begin has given. */
enum status teaching_finish(const struct teaching *teaching, const int32_t *reason, int64_t n,
                            struct rollout_group *group) MUST_USE;

#endif
