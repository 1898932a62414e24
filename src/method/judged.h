/* SPDX-License-Identifier: Apache-2.0
 *
 * What the discriminator of the adversarial game reads in a step, and what it says before the step
 * changes it. Of each group a real completion comes first, the end of the window, and the ones written
 * to the group's prompt follow; all stand behind the beginning of the window, or behind the whole
 * prompt (adversarial.input), which is computed once for them. So they are packed, cut and dealt to
 * ranks as answers are (rollout/tile.h).
 *
 * A completion is what an answer says behind its thinking, without the stop id. A discriminator that
 * reasons reads it in a question, writes, and tells behind that (method/reasoning.h).
 */
#ifndef METHOD_JUDGED_H
#define METHOD_JUDGED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "config/settings.h"
#include "data/corpus.h"
#include "model/discriminator.h"
#include "objective/loss.h"
#include "rollout/rollout.h"
#include "rollout/tile.h"

struct method_context;

struct verdict {
    double logits[2], probability; /* of being real */
    double value;                  /* the success that is expected of the discriminator, or 0 */
};

/* Whether it was told right. */
static inline bool verdict_success(const struct verdict *verdict, bool real) {
    return (verdict->logits[1] > verdict->logits[0]) == real;
}

/* REINFORCE's weight of what it wrote before it told. */
static inline double verdict_advantage(const struct verdict *verdict, bool real) {
    return (verdict_success(verdict, real) ? 1.0 : 0.0) - verdict->value;
}

/* Whether a value head is trained: for the reward, or as the baseline of its reasoning. */
static inline bool judged_is_valued(const struct settings *settings) {
    return settings->adversarial.reward == SETTING_JUDGED_REWARD_VALUE ||
           settings->adversarial.reason_tokens > 0;
}

struct judged {
    /* Prompts and answers without numbers: all lengths on every rank, tokens of what is written with
     * those who have the answer's. Its group_size is 1 more than that of the answers. */
    struct rollout texts;
    /* Where it reasons, the same groups and answers, borrowed, for the log-probabilities of what it
     * wrote; else of no group */
    struct rollout reasons;
    int64_t *completions;     /* (as verdicts) tokens of each completion, on every rank */
    struct verdict *verdicts; /* (texts.group_count × texts.group_size), on every rank */
};

/* Room for the sequences beside `groups` groups of `written` answers; judged_release gives it back. */
enum status judged_init(struct judged *judged, const struct settings *settings, int64_t groups,
                        int64_t written) MUST_USE;
void judged_release(struct judged *judged);

/* Tokens of what stands before a completion, where a prompt has so many. */
int64_t judged_prompt_tokens(const struct settings *settings, int64_t prompt);

/* Takes the window that the corpus has in hand, and the prompt made of it, for a group. */
enum status judged_take_window(struct judged *judged, const struct corpus *corpus,
                               const struct settings *settings, const struct rollout_group *group,
                               int64_t index) MUST_USE;

/* Takes the completions of the answers, whose summaries are known: lengths of all, tokens of those that
 * are here. */
enum status judged_take_answers(struct judged *judged, const struct rollout *rollout) MUST_USE;

/* Whether a sequence of a group is the real one. */
static inline bool judged_is_real(int64_t sequence) {
    return sequence == 0;
}

/* Of the microbatch's sequences: their rows and labels, (answer_count). */
void judged_sequences(const struct judged *judged, const struct microbatch *microbatch,
                      struct discriminator_sequence *sequences);

/* Of the groups [begin, end): sequences, and tokens that were drawn for them. */
struct loss_scope judged_scope(const struct judged *judged, int64_t begin, int64_t end);

/* The verdicts, on all ranks. Collective. */
enum status judged_judge(const struct method_context *context, struct judged *judged) MUST_USE;

/* What the discriminator gives a written completion of n tokens for its verdict. */
double judged_reward(const struct settings *settings, const struct verdict *verdict, int64_t n);

#endif
