/* SPDX-License-Identifier: Apache-2.0
 *
 * Losses, their gradients, clip ratios, KL and advantages equal TRL's on the same tensors
 * (tests/data/objective/make_trl_expected.py).
 */
#include "objective/advantage.h"
#include "objective/loss.h"

#include "check.h"
#include "data/objective/trl_expected.h"

static struct loss_settings settings_of(const struct trl_case *c) {
    const bool constant = strcmp(c->aggregation, "constant") == 0;
    return (struct loss_settings){
        .gate = gate_find(c->gate),
        .gate_settings = {.tau_pos = c->tau_pos,
                          .tau_neg = c->tau_neg,
                          .clip_low = c->clip_low,
                          .clip_high = c->clip_high,
                          .clip_dual = c->clip_dual},
        .level = strcmp(c->level, "token") == 0 ? LEVEL_TOKEN : LEVEL_SEQUENCE,
        .aggregation = constant                                    ? AGGREGATE_CONSTANT
                       : strcmp(c->aggregation, "token_mean") == 0 ? AGGREGATE_TOKEN_MEAN
                                                                   : AGGREGATE_SEQUENCE_MEAN,
        .kl_coef = c->kl_coef,
        .kl_estimator = KL_K3,
        .entropy_coef = c->entropy_coef,
        .max_new_tokens = TRL_MAX_NEW_TOKENS,
    };
}

static void check_case(const struct trl_case *c) {
    const struct loss_settings settings = settings_of(c);
    const struct loss_scope scope = {.answers = TRL_ANSWERS, .tokens = TRL_TOKENS};
    struct loss_sums sums = {.loss = 0};
    float d_logprob[TRL_TOKENS];
    for (int i = 0, at = 0; i < TRL_ANSWERS; at += trl_lengths[i++]) {
        const struct loss_answer answer = {
            .n = trl_lengths[i],
            .logprob = trl_logprob + at,
            .logprob_old = trl_old + at,
            .logprob_reference = c->kl_coef > 0 ? trl_reference + at : NULL,
            .entropy = trl_entropy + at,
            .advantage = trl_advantages[i],
            .d_logprob = d_logprob + at,
        };
        loss_answer(&settings, &scope, &answer, &sums);
    }
    const int before = check_failures;
    CHECK_NEAR(sums.loss, c->loss, 1e-14);
    for (int t = 0; t < TRL_TOKENS; t++)
        CHECK_NEAR(d_logprob[t], c->d_logprob[t], 6e-8 * fabs(c->d_logprob[t]) + 1e-17);
    if (c->low_mean >= 0) {
        CHECK_NEAR(sums.clip_low / sums.tokens, c->low_mean, 1e-15);
        CHECK_NEAR(sums.clip_high / sums.tokens, c->high_mean, 1e-15);
    }
    if (c->kl >= 0)
        CHECK_NEAR(sums.kl / sums.tokens, c->kl, 1e-14);
    if (check_failures > before)
        fprintf(stderr, "  in case \"%s\"\n", c->name);
}

static void check_advantages(enum advantage_kind kind, const double *want) {
    double have[TRL_REWARDS];
    advantage_compute(kind, 0, trl_rewards, TRL_REWARDS / TRL_GROUP_SIZE, TRL_GROUP_SIZE, have);
    for (int i = 0; i < TRL_REWARDS; i++)
        CHECK_NEAR(have[i], want[i], 1e-14);
}

int main(void) {
    const int cases = (int)(sizeof trl_cases / sizeof trl_cases[0]);
    for (int i = 0; i < cases; i++)
        check_case(&trl_cases[i]);
    check_advantages(ADVANTAGE_GROUP, trl_group);
    check_advantages(ADVANTAGE_GROUP_MEAN, trl_group_mean);
    check_advantages(ADVANTAGE_LEAVE_ONE_OUT, trl_leave_one_out);
    check_advantages(ADVANTAGE_BATCH, trl_batch);
    return CHECK_END();
}
