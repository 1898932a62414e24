/* SPDX-License-Identifier: Apache-2.0
 *
 * The derivatives of the whole loss are its central differences, for all gates, KL kinds,
 * aggregations and levels; the clamp of the log-ratio; EUR against the clip ratio by eq. 12; a
 * likelihood; what a discriminator's reasoning learns by; sums.
 *
 * Log-probabilities are multiples of 2^-14, so that fp32 holds them and their differences exactly.
 */
#include "objective/loss.h"

#include <stdbool.h>

#include "base/random.h"
#include "check.h"

#define GRID 16384.0
enum { ANSWERS = 4, MOST_TOKENS = 6 };

struct example {
    float logprob[MOST_TOKENS], old[MOST_TOKENS], reference[MOST_TOKENS], entropy[MOST_TOKENS];
    int64_t n;
    double advantage;
};

static double uniform(uint32_t a, uint32_t b, uint32_t c) {
    return random_uniform(7, RANDOM_TEST, a, b, c, 0);
}

static float on_grid(double x) {
    return (float)(rint(x * GRID) / GRID);
}

static struct example example_make(uint32_t index) {
    static const int64_t lengths[ANSWERS] = {5, 1, 6, 3};
    static const double advantages[ANSWERS] = {1.25, -0.75, -1.5, 0};
    struct example e = {.n = lengths[index % ANSWERS], .advantage = advantages[index % ANSWERS]};
    for (uint32_t t = 0; t < (uint32_t)e.n; t++) {
        e.logprob[t] = on_grid(-3 * uniform(index, t, 0));
        e.old[t] = on_grid(e.logprob[t] - 0.8 * (uniform(index, t, 1) - 0.5));
        e.reference[t] = on_grid(e.logprob[t] - 1.5 * (uniform(index, t, 2) - 0.5));
        e.entropy[t] = on_grid(2 * uniform(index, t, 3));
    }
    return e;
}

struct result {
    struct loss_sums sums;
    float d_logprob[MOST_TOKENS], d_entropy[MOST_TOKENS], ratio[MOST_TOKENS], gate[MOST_TOKENS];
};

static const struct loss_scope scope = {.answers = ANSWERS, .tokens = 15};

static struct result evaluate(const struct loss_settings *settings, const struct example *e) {
    struct result r = {.sums = {.loss = 0}};
    const struct loss_answer answer = {
        .n = e->n,
        .logprob = e->logprob,
        .logprob_old = e->old,
        .logprob_reference = settings->kl_coef > 0 ? e->reference : NULL,
        .entropy = e->entropy,
        .advantage = e->advantage,
        .d_logprob = r.d_logprob,
        .d_entropy = settings->entropy_coef > 0 ? r.d_entropy : NULL,
        .ratio = r.ratio,
        .gate_derivative = r.gate,
    };
    loss_answer(settings, &scope, &answer, &r.sums);
    return r;
}

static double loss_moved(const struct loss_settings *settings, const struct example *e,
                         ptrdiff_t place, double steps) {
    struct example moved = *e;
    float *const x = (float *)((char *)&moved + place);
    *x = (float)(*x + steps / GRID);
    return evaluate(settings, &moved).sums.loss;
}

/* Central difference of fourth order with respect to the float at byte `place` of the example. */
static double difference(const struct loss_settings *settings, const struct example *e,
                         ptrdiff_t place) {
    const double one = loss_moved(settings, e, place, 1) - loss_moved(settings, e, place, -1);
    const double two = loss_moved(settings, e, place, 2) - loss_moved(settings, e, place, -2);
    return (8 * one - two) * GRID / 12;
}

static ptrdiff_t place_of(const struct example *e, const float *x) {
    return (const char *)x - (const char *)e;
}

/* The weight of one token by the definitions of design, section 9. */
static double share_of_token(const struct loss_settings *settings, int64_t n) {
    const double by_answer = 1.0 / ANSWERS;
    return settings->aggregation == AGGREGATE_SEQUENCE_MEAN ? by_answer / (double)n
           : settings->aggregation == AGGREGATE_TOKEN_MEAN  ? 1.0 / 15
                                                            : by_answer / 9;
}

static void check_gradient(const struct loss_settings *settings) {
    for (uint32_t index = 0; index < ANSWERS; index++) {
        const struct example e = example_make(index);
        const struct result r = evaluate(settings, &e);
        for (int64_t t = 0; t < e.n; t++) {
            const double want = difference(settings, &e, place_of(&e, &e.logprob[t]));
            CHECK_NEAR(r.d_logprob[t], want, 1e-7 * fabs(want) + 2e-9);
            if (settings->entropy_coef > 0)
                CHECK_NEAR(r.d_entropy[t], difference(settings, &e, place_of(&e, &e.entropy[t])),
                           1e-9);
        }
        CHECK_NEAR(r.sums.loss,
                   r.sums.policy_loss + r.sums.kl_loss -
                       settings->entropy_coef * r.sums.entropy * share_of_token(settings, e.n),
                   1e-15);
    }
}

static struct loss_settings settings_of(const struct gate *gate) {
    return (struct loss_settings){
        .gate = gate,
        .gate_settings =
            {.tau_pos = 5, .tau_neg = 6, .clip_low = 0.2, .clip_high = 0.2, .clip_dual = 1.35},
        .max_new_tokens = 9,
    };
}

static void test_gradients(void) {
    int count, checked = 0;
    const struct gate *const *gates = gate_list(&count);
    for (int g = 0; g < count; g++)
        for (int level = LEVEL_TOKEN; level <= LEVEL_SEQUENCE; level++)
            for (int how = AGGREGATE_SEQUENCE_MEAN; how <= AGGREGATE_CONSTANT; how++)
                for (int kl = -1; kl <= KL_K3; kl++) {
                    struct loss_settings s = settings_of(gates[g]);
                    s.level = (enum ratio_level)level;
                    s.aggregation = (enum aggregation)how;
                    s.kl_coef = kl < 0 ? 0 : 0.1;
                    s.kl_estimator = kl < 0 ? KL_K1 : (enum kl_estimator)kl;
                    s.entropy_coef = kl < 0 ? 0 : 0.02;
                    check_gradient(&s);
                    checked++;
                }
    CHECK_EQ(checked, 6 * 2 * 3 * 4);
}

/* Beyond ±20 the ratio stands still and the derivative is 0; a NaN stays visible. */
static void test_clamp(void) {
    const struct loss_settings s = settings_of(&gate_none);
    struct example e = {.n = 4, .advantage = 1};
    const float old[] = {NAN, -25, 21, -1};
    for (int t = 0; t < 4; t++) {
        e.logprob[t] = -1;
        e.old[t] = old[t];
    }
    const struct result r = evaluate(&s, &e);
    CHECK_NEAR(r.ratio[3], 1, 0);
    CHECK_NEAR(r.ratio[1] / exp(20), 1, 1e-7);
    CHECK_NEAR(r.ratio[2] / exp(-20), 1, 1e-7);
    CHECK(r.d_logprob[3] != 0 && r.d_logprob[1] == 0 && r.d_logprob[2] == 0);
    CHECK(isnan(r.d_logprob[0]) && isnan(r.sums.loss) && isnan(r.sums.ratio_max));
}

static void test_kl(void) {
    double k, d;
    kl_evaluate(KL_K1, -1, -1.5, &k, &d);
    CHECK_NEAR(k, 0.5, 0);
    kl_evaluate(KL_K2, -1, -1.5, &k, &d);
    CHECK_NEAR(k, 0.125, 0);
    CHECK_NEAR(d, 0.5, 0);
    kl_evaluate(KL_K3, -1, -1.5, &k, &d);
    CHECK_NEAR(k, 0.10653065971263342, 1e-16); /* e^-0.5 + 0.5 − 1 */
    CHECK_NEAR(d, 0.39346934028736658, 1e-16); /* 1 − e^-0.5 */
    kl_evaluate(KL_K3, -1, -1 + 1e-9, &k, &d);
    CHECK_NEAR(d / -1e-9, 1, 1e-6);
    kl_evaluate(KL_K3, -40, -1, &k, &d);
    CHECK(isfinite(k) && d == 0);
    kl_evaluate(KL_K3, NAN, -1, &k, &d);
    CHECK(isnan(k) && isnan(d));
}

/* Groups of four answers with rewards of both signs and zero. Eq. 12 is worked out here from the
 * ratios that loss_answer wrote. */
static double eur_by_hand(const struct loss_settings *settings, int groups,
                          struct loss_sums *group_sums) {
    double eur = 0;
    for (int g = 0; g < groups; g++) {
        double open = 0, tokens = 0;
        group_sums[g] = (struct loss_sums){.loss = 0};
        for (int i = 0; i < ANSWERS; i++) {
            const struct example e = example_make((uint32_t)(g * ANSWERS + i));
            const struct result r = evaluate(settings, &e);
            for (int64_t t = 0; t < e.n; t++) {
                const bool dual = e.advantage < 0 && settings->gate_settings.clip_dual > 0 &&
                                  r.ratio[t] > settings->gate_settings.clip_dual;
                open += e.advantage > 0 ? r.ratio[t] <= 1.2 : r.ratio[t] >= 0.8 && !dual;
            }
            tokens += (double)e.n;
            loss_sums_add(&group_sums[g], &r.sums);
        }
        eur += open / tokens / groups;
    }
    return eur;
}

static void test_eur(void) {
    enum { GROUPS = 9 };
    struct loss_sums groups[GROUPS];
    struct loss_settings s = settings_of(&gate_clip);
    for (int dual = 0; dual < 2; dual++) {
        s.gate_settings.clip_dual = dual ? 1.35 : 0;
        const double want = eur_by_hand(&s, GROUPS, groups);
        CHECK(want > 0.1 && want < 0.9);
        CHECK_NEAR(loss_eur(groups, GROUPS), want, 1e-15);
        CHECK_NEAR(1 - loss_clip_ratio(groups, GROUPS), want, 1e-15);
    }
    int count;
    const struct gate *const *gates = gate_list(&count);
    for (int g = 0; g < count; g++) {
        s = settings_of(gates[g]);
        eur_by_hand(&s, GROUPS, groups);
        CHECK(!gates[g]->soft || (loss_eur(groups, GROUPS) < 1 && loss_eur(groups, GROUPS) > 0));
    }
    CHECK_NEAR(loss_eur(groups, GROUPS), 1, 1e-15); /* none, the last */
    CHECK_NEAR(loss_eur(groups, 0), 0, 0);
}

/* Where all ratios are 1 every gate passes everything, and the gradient is that of −A log π. */
static void test_first_pass(void) {
    int count;
    const struct gate *const *gates = gate_list(&count);
    for (int g = 0; g < count; g++) {
        const struct loss_settings s = settings_of(gates[g]);
        struct example e = example_make(2);
        memcpy(e.old, e.logprob, sizeof e.old);
        const struct result r = evaluate(&s, &e);
        CHECK_NEAR(loss_eur(&r.sums, 1), 1, 0);
        CHECK_NEAR(r.sums.clipped + r.sums.clip_low + r.sums.clip_high, 0, 0);
        for (int64_t t = 0; t < e.n; t++)
            CHECK_NEAR(r.d_logprob[t], -e.advantage * share_of_token(&s, e.n), 1e-8);
    }
}

static void test_likelihood(void) {
    struct loss_settings s = settings_of(NULL);
    s.likelihood = true;
    s.aggregation = AGGREGATE_TOKEN_MEAN;
    const struct example e = example_make(0);
    float d[MOST_TOKENS];
    struct loss_sums sums = {.loss = 0};
    const struct loss_answer answer = {
        .n = e.n, .logprob = e.logprob, .entropy = e.entropy, .d_logprob = d};
    loss_answer(&s, &scope, &answer, &sums);
    double total = 0;
    for (int64_t t = 0; t < e.n; t++) {
        total -= (double)e.logprob[t] / 15;
        CHECK_NEAR(d[t], -1.0 / 15, 1e-8);
    }
    CHECK_NEAR(sums.loss, total, 1e-15);
    CHECK_NEAR(sums.tokens, 5, 0);
}

/* − 2.5 × the aggregate of (advantage × log π), whose derivative is the weight of each token. */
static void test_reason(void) {
    struct loss_settings s = settings_of(&gate_clip);
    const struct example e = example_make(1);
    for (int a = AGGREGATE_SEQUENCE_MEAN; a <= AGGREGATE_CONSTANT; a++) {
        float d[MOST_TOKENS];
        double logprob = 0, entropy = 0;
        struct loss_sums sums = {.loss = 1.0};
        s.aggregation = (enum aggregation)a;
        const double share = share_of_token(&s, e.n);
        loss_reason(&s, &scope,
                    &(struct loss_reason){.n = e.n,
                                          .logprob = e.logprob,
                                          .entropy = e.entropy,
                                          .weight = 2.5,
                                          .advantage = -0.375,
                                          .d_logprob = d},
                    &sums);
        for (int64_t t = 0; t < e.n; t++) {
            logprob += (double)e.logprob[t];
            entropy += (double)e.entropy[t];
            CHECK_NEAR(d[t], 2.5 * share * 0.375, 1e-7);
        }
        CHECK_NEAR(sums.loss, 1 + 2.5 * share * 0.375 * logprob, 1e-12);
        CHECK_NEAR(sums.reason_loss, share * 0.375 * logprob, 1e-12);
        CHECK_NEAR(sums.reason_entropy, entropy, 1e-12);
        CHECK_NEAR(sums.reason_tokens, (double)e.n, 0);
        CHECK_NEAR(sums.tokens, 0, 0);
    }
}

/* Counts by the sign of the advantage, and the largest ratio. */
static void test_sums(void) {
    const struct loss_settings s = settings_of(&gate_clip);
    struct loss_sums all = {.loss = 0};
    double positive = 0, negative = 0, largest = 0;
    for (uint32_t i = 0; i < ANSWERS; i++) {
        const struct example e = example_make(i);
        const struct result r = evaluate(&s, &e);
        loss_sums_add(&all, &r.sums);
        for (int64_t t = 0; t < e.n; t++) {
            positive += e.advantage > 0 ? r.gate[t] : 0;
            negative += e.advantage < 0 ? r.gate[t] : 0;
            largest = fmax(largest, r.ratio[t]);
        }
    }
    CHECK_NEAR(all.answers, ANSWERS, 0);
    CHECK_NEAR(all.tokens, 15, 0);
    CHECK_NEAR(all.gate_positive, positive, 0);
    CHECK_NEAR(all.gate_negative, negative, 0);
    CHECK_NEAR(all.tokens_positive, 5, 0);
    CHECK_NEAR(all.tokens_negative, 7, 0);
    CHECK_NEAR(all.ratio_max, largest, 1e-7);
}

int main(void) {
    test_gradients();
    test_clamp();
    test_kl();
    test_eur();
    test_first_pass();
    test_likelihood();
    test_reason();
    test_sums();
    return CHECK_END();
}
