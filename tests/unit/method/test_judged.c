/* SPDX-License-Identifier: Apache-2.0
 *
 * What the discriminator reads: completions without thinking and stop id, behind their prefix, each with
 * the rows that its pooling looks at, an empty one with the last of the prefix. What it gives for a
 * verdict: against the formulas, written out.
 */
#include "method/judged.h"

#include <math.h>

#include "base/memory.h"
#include "check.h"

enum { PROMPT = 5 };

static struct settings settings_of(int reward, int rule) {
    return (struct settings){.adversarial = {.window_tokens = 7,
                                             .completion_tokens = 4,
                                             .reward = reward,
                                             .length_rule = rule,
                                             .d_scale = 3.0,
                                             .value_threshold = 0.125}};
}

static double reward_of(int reward, int rule, double probability, int64_t n) {
    const struct settings settings = settings_of(reward, rule);
    const struct verdict verdict = {.probability = probability, .value = probability};
    return judged_reward(&settings, &verdict, n);
}

static void rewards(void) {
    enum { P = SETTING_JUDGED_REWARD_PROBABILITY, LOG = SETTING_JUDGED_REWARD_LOG_PROBABILITY };
    enum { LOGIT = SETTING_JUDGED_REWARD_LOGIT, VALUE = SETTING_JUDGED_REWARD_VALUE };
    enum { EXACT = SETTING_LENGTH_RULE_EXACT, PENALTY = SETTING_LENGTH_RULE_PENALTY };
    enum { NONE = SETTING_LENGTH_RULE_NONE };
    static const struct {
        int reward, rule;
        double p;
        int64_t n;
        double expected;
    } cases[] = {
        {P, EXACT, 0.3, 4, 0.3},
        {P, EXACT, 0.3, 3, 0.0},
        {P, EXACT, 0.3, 5, 0.0},
        {P, PENALTY, 0.3, 3, 0.225},
        {P, PENALTY, 0.3, 6, 0.15},
        {P, PENALTY, 0.3, 9, 0.0},
        {P, NONE, 0.3, 0, 0.3},
        {LOG, NONE, 0.25, 4, -1.3862943611198906},
        {LOG, EXACT, 0.25, 3, -13.815510557964274},
        {LOG, NONE, 1.0, 4, -1.000000499934435e-06},
        {LOGIT, NONE, 0.8, 4, 1.3862943611198906},
        {LOGIT, PENALTY, 0.8, 2, -0.4054651081081644},
        {LOGIT, NONE, 0.0, 4, -13.815509557963773},
        {VALUE, NONE, 0.75, 4, 0.25},
        {VALUE, NONE, 0.125, 4, 0.0},
        {VALUE, NONE, 0.126, 4, 0.874},
        {VALUE, PENALTY, 0.75, 3, 0.1875},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_NEAR(reward_of(cases[i].reward, cases[i].rule, cases[i].p, cases[i].n),
                   cases[i].expected, 1e-9);
    struct settings scaled = settings_of(P, NONE);
    scaled.adversarial.d_scale_in = SETTING_D_SCALE_IN_REWARD;
    CHECK_NEAR(judged_reward(&scaled, &(struct verdict){.probability = 0.3}, 4), 0.9, 1e-15);
}

static void give(struct rollout_answer *answer, int64_t n, int64_t thinking,
                 enum finish_reason finish) {
    CHECK_OK(rollout_answer_reserve(answer, n, (struct rollout_columns){.sampler = false}));
    answer->thinking = thinking;
    answer->finish = finish;
    for (int64_t t = 0; t < n; t++)
        answer->tokens[t] = (int32_t)(10 + t);
}

/* One group: 3 tokens of a prefix, the real completion 24 … 27, and three answers. */
static void open_group(struct judged *judged, struct rollout *rollout,
                       const struct settings *settings) {
    static int32_t window[] = {21, 22, 23, 24, 25, 26, 27};
    struct corpus corpus = {.settings = {.window_tokens = 7, .completion_tokens = 4},
                            .text = {.ids = window, .count = 7}};
    CHECK_OK(rollout_init(rollout, 1, 3));
    CHECK_OK(judged_init(judged, settings, 1, 3));
    rollout->groups[0].prompt_length = PROMPT;
    CHECK_OK(memory_new(&rollout->groups[0].prompt, PROMPT, "prompt"));
    for (int32_t t = 0; t < PROMPT; t++)
        rollout->groups[0].prompt[t] = 40 + t;
    CHECK_OK(judged_take_window(judged, &corpus, settings, &rollout->groups[0], 0));
    give(&rollout->answers[0], 5, 0, FINISH_STOP);   /* 4 tokens and the stop id */
    give(&rollout->answers[1], 6, 4, FINISH_LENGTH); /* 2 behind its thinking */
    give(&rollout->answers[2], 3, 3, FINISH_STOP);   /* it stops while it thinks */
    CHECK_OK(judged_take_answers(judged, rollout));
}

static void completions(int pooling, const int32_t *rows, const int64_t *ends) {
    static const int64_t lengths[] = {4, 4, 2, 0};
    static const int32_t first[] = {24, 10, 14, 0};
    struct settings settings = settings_of(0, 0);
    struct judged judged;
    struct rollout rollout;
    struct microbatch microbatch = MICROBATCH_EMPTY;
    struct discriminator_sequence sequences[4];
    const struct tile tile = {.begin = 0, .end = 1};
    settings.adversarial.pooling = pooling;
    open_group(&judged, &rollout, &settings);
    for (int i = 0; i < 4; i++) {
        const struct rollout_answer *text = &judged.texts.answers[i];
        CHECK_EQ(text->n, lengths[i]);
        CHECK(text->n == 0 || text->tokens[0] == first[i]);
    }
    microbatch_begin(&microbatch, &tile);
    CHECK_OK(microbatch_next(&microbatch, &judged.texts, &tile, 100));
    CHECK_EQ(microbatch.answer_count, 4);
    CHECK_EQ(microbatch.batch.T, 3 + 4 + 4 + 2);
    judged_sequences(&judged, &microbatch, sequences);
    CHECK_EQ(microbatch.batch.target_count, ends[3]);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(sequences[i].label, i == 0);
        CHECK_EQ(sequences[i].begin, i == 0 ? 0 : ends[i - 1]);
        CHECK_EQ(sequences[i].end, ends[i]);
    }
    for (int64_t r = 0; r < ends[3]; r++)
        CHECK_EQ(microbatch.batch.target_rows[r], rows[r]);
    microbatch_release(&microbatch);
    judged_release(&judged);
    rollout_release(&rollout);
}

/* Behind the beginning of the window, or behind the prompt. */
static void before(int input, int64_t n, int32_t first) {
    struct settings settings = settings_of(0, 0);
    struct judged judged;
    struct rollout rollout;
    settings.adversarial.input = input;
    open_group(&judged, &rollout, &settings);
    CHECK_EQ(judged.texts.groups[0].prompt_length, n);
    CHECK_EQ(judged_prompt_tokens(&settings, PROMPT), n);
    for (int32_t t = 0; t < n; t++)
        CHECK_EQ(judged.texts.groups[0].prompt[t], first + t);
    judged_release(&judged);
    rollout_release(&rollout);
}

int main(void) {
    static const int32_t last[] = {6, 10, 12, 2}, all[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 2};
    static const int64_t one[] = {1, 2, 3, 4}, several[] = {4, 8, 10, 11};
    rewards();
    before(SETTING_INPUT_PREFIX, 3, 21);
    before(SETTING_INPUT_PROMPT, PROMPT, 40);
    completions(SETTING_POOLING_LAST, last, one);
    completions(SETTING_POOLING_MEAN, all, several);
    return CHECK_END();
}
