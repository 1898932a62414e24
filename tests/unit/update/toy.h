/* SPDX-License-Identifier: Apache-2.0
 *
 * A problem in double that update rules run on as they do on a model: plain gradient descent, or
 * AdamW, on
 *
 *     L = mean over mini-batches of ½ (θ − c)ᵀ H (θ − c) + ¼ quartic Σ θ⁴
 *
 * The place that two steps foretell is that of backend/extrapolation.h, which the kernels share.
 */
#ifndef TESTS_UNIT_UPDATE_TOY_H
#define TESTS_UNIT_UPDATE_TOY_H

#include "base/random.h"
#include "check.h"
#include "update/update.h"

enum { TOY_MAX = 24, TOY_BATCHES = 3, TOY_PASSES = 4096 };
typedef double toy_vector[TOY_MAX];

struct toy {
    int n;
    double hessian[TOY_MAX][TOY_MAX], quartic;
    toy_vector centres[TOY_BATCHES];
    double rate, max_norm; /* 0: no clipping */
    bool adamw;
    toy_vector parameters, gradient, slots[UPDATE_SLOT_FORETOLD + 1];
    toy_vector exp_avg, exp_avg_sq, saved[2];
    int64_t steps, saved_steps;
    double norm, slot_norm, start_scale;
    toy_vector ratio, scale; /* as the last extrapolation had them */
    int gradients, moves, failing_step;
    int bad[2];            /* calls of gradient that find nothing finite; −1 */
    int order[TOY_PASSES]; /* mini-batch of each gradient */
    bool passes_in_order;
};

static inline double toy_norm(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

static inline enum status toy_gradient(void *context, int mini_batch, int pass,
                                       struct update_found *found) {
    struct toy *t = context;
    const bool bad = t->gradients == t->bad[0] || t->gradients == t->bad[1];
    t->passes_in_order = t->passes_in_order && pass >= 0;
    t->order[t->gradients++ % TOY_PASSES] = mini_batch;
    for (int i = 0; i < t->n; i++) {
        const double theta = t->parameters[i];
        t->gradient[i] = t->quartic * theta * theta * theta;
        for (int j = 0; j < t->n; j++)
            t->gradient[i] += t->hessian[i][j] * (t->parameters[j] - t->centres[mini_batch][j]);
        t->gradient[i] = bad ? (double)NAN : t->gradient[i];
    }
    t->norm = toy_norm(t->gradient, t->n);
    *found = (struct update_found){.finite = !bad, .norm = t->norm, .entropy = t->norm};
    return STATUS_OK;
}

/* The present gradient's step; the direction that it went. */
static inline void toy_move(struct toy *t, toy_vector direction) {
    const double clip = t->max_norm > 0 && t->norm > t->max_norm ? t->max_norm / t->norm : 1;
    t->start_scale = clip;
    t->moves++;
    t->steps++;
    for (int i = 0; i < t->n; i++) {
        const double g = clip * t->gradient[i];
        direction[i] = g;
        if (t->adamw) {
            t->exp_avg[i] = 0.9 * t->exp_avg[i] + 0.1 * g;
            t->exp_avg_sq[i] = 0.999 * t->exp_avg_sq[i] + 0.001 * g * g;
            direction[i] = t->exp_avg[i] / (1 - pow(0.9, (double)t->steps)) /
                           (sqrt(t->exp_avg_sq[i] / (1 - pow(0.999, (double)t->steps))) + 1e-8);
        }
        t->parameters[i] -= t->rate * direction[i];
    }
}

static inline enum status toy_step(void *context) {
    struct toy *t = context;
    toy_vector direction;
    if (t->moves == t->failing_step)
        return FAIL(STATUS_MEMORY, "the step failed");
    toy_move(t, direction);
    return STATUS_OK;
}

static inline double *toy_present(struct toy *t, enum update_vector vector) {
    return vector == UPDATE_PARAMETERS ? t->parameters : t->gradient;
}

static inline enum status toy_keep(void *context, enum update_vector vector, int slot) {
    struct toy *t = context;
    memcpy(t->slots[slot], toy_present(t, vector), sizeof t->slots[slot]);
    return STATUS_OK;
}

static inline enum status toy_lerp(void *context, enum update_vector vector, int slot,
                                   double factor) {
    struct toy *t = context;
    double *x = toy_present(t, vector);
    for (int i = 0; i < t->n; i++)
        x[i] = factor == 0 ? t->slots[slot][i]
                           : t->slots[slot][i] + factor * (x[i] - t->slots[slot][i]);
    t->norm = toy_norm(t->gradient, t->n);
    return STATUS_OK;
}

static inline enum status toy_dot(void *context, int slot, double *product) {
    struct toy *t = context;
    *product = 0;
    for (int i = 0; i < t->n; i++)
        *product += t->slots[slot][i] * t->gradient[i];
    return STATUS_OK;
}

static inline enum status toy_save(void *context) {
    struct toy *t = context;
    memcpy(t->saved[0], t->exp_avg, sizeof t->exp_avg);
    memcpy(t->saved[1], t->exp_avg_sq, sizeof t->exp_avg_sq);
    t->saved_steps = t->steps;
    return STATUS_OK;
}

static inline enum status toy_take_back(void *context) {
    struct toy *t = context;
    memcpy(t->exp_avg, t->saved[0], sizeof t->exp_avg);
    memcpy(t->exp_avg_sq, t->saved[1], sizeof t->exp_avg_sq);
    t->steps = t->saved_steps;
    return STATUS_OK;
}

static inline enum status toy_step_keeping(void *context) {
    struct toy *t = context;
    memcpy(t->slots[UPDATE_SLOT_PARAMETERS], t->parameters, sizeof t->parameters);
    memcpy(t->slots[UPDATE_SLOT_GRADIENT], t->gradient, sizeof t->gradient);
    toy_move(t, t->slots[UPDATE_SLOT_DIRECTION]);
    return STATUS_OK;
}

static inline enum status toy_extrapolate(void *context, const struct update_extrapolation *how,
                                          struct extrapolation_sums *found) {
    struct toy *t = context;
    const double first = how->directions ? 1 : t->start_scale;
    const double *before = t->slots[how->directions ? UPDATE_SLOT_DIRECTION : UPDATE_SLOT_GRADIENT];
    const double threshold =
        how->activity * (how->relative ? toy_norm(before, t->n) / sqrt((double)t->n) : 1);
    toy_vector direction;
    toy_move(t, direction);
    *found = (struct extrapolation_sums){.coordinates = t->n};
    for (int i = 0; i < t->n; i++) {
        struct extrapolation_row row = {
            .start = {t->slots[UPDATE_SLOT_PARAMETERS][i]},
            .end = {t->parameters[i]},
            .before = {first * before[i]},
            .after = {how->directions ? direction[i] : t->start_scale * t->gradient[i]},
            .size = {fabs(before[i])}};
        extrapolation_row_compute(&how->how, threshold, 1, &row);
        t->parameters[i] = row.place[0];
        t->ratio[i] = row.ratio[0];
        t->scale[i] = row.scale[0];
        found->active += row.active[0];
    }
    return STATUS_OK;
}

static inline struct update_problem toy_problem(struct toy *t, int mini_batches) {
    return (struct update_problem){.context = t,
                                   .mini_batches = mini_batches,
                                   .gradient = toy_gradient,
                                   .step = toy_step,
                                   .keep = toy_keep,
                                   .lerp = toy_lerp,
                                   .dot = toy_dot,
                                   .save = toy_save,
                                   .take_back = toy_take_back,
                                   .step_keeping = toy_step_keeping,
                                   .extrapolate = toy_extrapolate};
}

static inline double toy_number(uint32_t seed, uint32_t i, uint32_t j) {
    return 2 * random_uniform(seed, RANDOM_TEST, i, j, 0, 0) - 1;
}

/* Nothing but a starting point. */
static inline struct toy toy_make(int n, uint32_t seed) {
    struct toy t = {
        .n = n, .rate = 0.1, .bad = {-1, -1}, .failing_step = -1, .passes_in_order = true};
    for (int i = 0; i < n; i++)
        t.parameters[i] = 2 * toy_number(seed, 1000, (uint32_t)i);
    return t;
}

/* H = A Aᵀ / n + a diagonal, scaled so that its rows are bounded: symmetric, positive. */
static inline void toy_dense(struct toy *t, uint32_t seed) {
    for (int i = 0; i < t->n; i++)
        for (int j = 0; j < t->n; j++)
            for (int k = 0; k < t->n; k++)
                t->hessian[i][j] += toy_number(seed, (uint32_t)i, (uint32_t)k) *
                                    toy_number(seed, (uint32_t)j, (uint32_t)k) / t->n;
    for (int i = 0; i < t->n; i++)
        t->hessian[i][i] += 0.3 + 0.2 * toy_number(seed, 2000, (uint32_t)i);
}

static inline struct update_settings toy_settings(int steps, double reposition) {
    return (struct update_settings){
        .iterations = 1,
        .ahead = {.how = {.steps = steps,
                          .reposition = reposition,
                          .ratio_least = -1e30,
                          .ratio_most = 1e30,
                          .scale_least = -1e30,
                          .scale_most = 1e30}},
        .shutoff = {.window = 30, .warmup = 30, .patience = 1, .std_floor = 1e-3}};
}

/* One step of a rule; the report of it. */
static inline struct update_report toy_run(struct toy *t, const struct update_rule *rule,
                                           const struct update_settings *settings, int mini_batches,
                                           struct shutoff *shutoff) {
    const struct update_problem problem = toy_problem(t, mini_batches);
    struct shutoff none = {.count = 0};
    struct update_report report;
    CHECK_OK(rule->run(settings, &problem, shutoff != NULL ? shutoff : &none, &report));
    return report;
}

static inline void toy_same(const struct toy *have, const struct toy *want) {
    for (int i = 0; i < have->n; i++) {
        CHECK_NEAR(have->parameters[i], want->parameters[i], 0);
        CHECK_NEAR(have->exp_avg[i], want->exp_avg[i], 0);
        CHECK_NEAR(have->exp_avg_sq[i], want->exp_avg_sq[i], 0);
    }
}

#endif
