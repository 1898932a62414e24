/* SPDX-License-Identifier: Apache-2.0
 *
 *     recompute RUN STEP [group.name=value ...]
 *
 * Recomputes from rollouts/step-STEP.h5 of a run, in double, what its diagnostics.h5 says of the
 * step: rewards, advantages, lengths, ratios' gates, the loss and its parts, the metrics of each
 * pass whose ratios the file knows, and the course of the learning rate. Settings that are not
 * given have their defaults of input/reference.cfg; run.steps and data.prompts (how many there are)
 * must be given.
 */
#include "numbers.h"

enum { PARTS = 3 };
static const char *const part_names[PARTS] = {"format", "answer", "length"};

/* The step's answers as the file holds them. */
struct batch {
    struct h5 *h5;
    int64_t groups, answers, size; /* size: answers of a group */
    struct list offsets, reward, advantage, finish;
    struct list logprob, reference, entropy, ratio, derivative, sampler;
    double forced; /* answers whose thinking was closed by force */
    struct list part[PARTS];
    double weight[PARTS]; /* of the reward; NaN: not asked for */
    double *penalised;    /* recomputed */
};

struct settings {
    int64_t steps, step, mini_batches, iterations;
    bool sft, sequence, kl_in_loss;
    double tau_pos, tau_neg, low, high, dual, kl_coef, entropy_coef, max_new_tokens, temperature,
        think_tokens, answer_tokens;
    const char *gate, *advantage, *aggregation, *estimator;
};

static struct settings settings_of(int64_t step) {
    const bool sequence = setting_is("objective.level", "token", "sequence");
    return (struct settings){.step = step,
                             .steps = (int64_t)setting_number("run.steps", 0),
                             .mini_batches = (int64_t)setting_number("update.mini_batches", 1),
                             .iterations = (int64_t)setting_number("update.iterations", 1),
                             .sft = setting_is("run.method", "rl", "sft"),
                             .sequence = sequence,
                             .kl_in_loss = setting_is("objective.kl_in", "loss", "loss"),
                             .tau_pos = setting_number("objective.tau_pos", 10),
                             .tau_neg = setting_number("objective.tau_neg", 12),
                             .low = setting_number("objective.clip_low", sequence ? 3e-4 : 0.2),
                             .high = setting_number("objective.clip_high", sequence ? 4e-4 : 0.2),
                             .dual = setting_number("objective.clip_dual", 0),
                             .kl_coef = setting_number("objective.kl_coef", 0),
                             .entropy_coef = setting_number("objective.entropy_coef", 0),
                             .max_new_tokens = setting_number("rollout.max_new_tokens", 256),
                             .think_tokens = setting_number("rollout.think_tokens", 0),
                             .answer_tokens = setting_number("rollout.answer_tokens", 0),
                             .gate = setting_word("objective.gate", "clip"),
                             .advantage = setting_word("objective.advantage", "group"),
                             .aggregation = setting_word("objective.aggregation", "sequence_mean"),
                             .estimator = setting_word("objective.kl_estimator", "k3")};
}

/* --- formulas --- */

static bool same(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* f and f' of the gate at ratio r for advantage A: algorithms of the gate paper. */
static void gate(const struct settings *s, double r, double A, double *f, double *slope) {
    const double tau = A > 0 ? s->tau_pos : s->tau_neg, d = r - 1, x = tau * d;
    if (same(s->gate, "sigmoid")) {
        const double sigma = 1 / (1 + exp(-x));
        *f = 4 / tau * sigma;
        *slope = 4 * sigma * (1 - sigma);
    } else if (same(s->gate, "erf")) {
        *f = 1 + sqrt(acos(-1.0) / 2) / tau * erf(x / sqrt(2));
        *slope = exp(-x * x / 2);
    } else if (same(s->gate, "arctan")) {
        *f = 1 + atan(x) / tau;
        *slope = 1 / (1 + x * x);
    } else if (same(s->gate, "softsign")) {
        *f = 1 + d / sqrt(1 + x * x);
        *slope = pow(1 + x * x, -1.5);
    } else if (same(s->gate, "none")) {
        *f = r;
        *slope = 1;
    } else { /* clip: min(r A, clip(r) A), and for A < 0 not below c A */
        const double clipped = fmin(fmax(r, 1 - s->low), 1 + s->high);
        *f = A > 0 ? fmin(r, clipped) : fmax(r, clipped);
        *f = A < 0 && s->dual > 0 ? fmin(*f, s->dual) : *f;
        *slope = *f == r;
    }
}

static double divergence(const struct settings *s, double logprob, double reference) {
    const double x = logprob - reference;
    if (same(s->estimator, "k1"))
        return x;
    return same(s->estimator, "k2") ? x * x / 2 : exp(-x) - 1 + x;
}

struct moments {
    double n, mean, deviation, least, most;
};

static struct moments moments_of(const double *x, int64_t n) {
    struct moments m = {.n = (double)n, .least = INFINITY, .most = -INFINITY};
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        m.mean += x[i] / m.n;
        m.least = fmin(m.least, x[i]);
        m.most = fmax(m.most, x[i]);
    }
    for (int64_t i = 0; i < n; i++)
        squares += (x[i] - m.mean) * (x[i] - m.mean);
    m.deviation = n > 1 ? sqrt(squares / (m.n - 1)) : 0;
    return m;
}

/* --- the batch --- */

static struct list optional(const struct h5 *h5, const char *path) {
    return h5_has(h5, path) ? read_list(h5, path) : (struct list){.at = NULL};
}

static void read_rewards(struct batch *b) {
    const bool given = setting_word("reward.format", NULL) != NULL ||
                       setting_word("reward.answer", NULL) != NULL ||
                       setting_word("reward.length", NULL) != NULL;
    for (int p = 0; p < PARTS; p++) {
        char name[64];
        snprintf(name, sizeof name, "reward.%s", part_names[p]);
        b->weight[p] = setting_number(name, given || p == 2 ? (double)NAN : 1);
        if (isnan(b->weight[p]))
            continue;
        snprintf(name, sizeof name, "/answer/reward_%s", part_names[p]);
        b->part[p] = read_list(b->h5, name);
    }
}

/* Takes the marked elements out of a list of numbers per token, where each must be NaN. */
static void drop_marked(struct list *list, const struct list *marks) {
    int64_t kept = 0;
    for (int64_t t = 0; t < list->n; t++) {
        if (marks->at[t] == 0)
            list->at[kept++] = list->at[t];
        else
            expect_near("a forced token has no number", isnan(list->at[t]), 1, 0);
    }
    list->n = kept;
}

/* Forced tokens count in nothing, so all is computed without them. */
static void drop_forced(struct batch *b) {
    struct list *const numbers[] = {&b->logprob, &b->entropy,    &b->reference,
                                    &b->ratio,   &b->derivative, &b->sampler};
    struct list marks = optional(b->h5, "/token/forced");
    int64_t kept = 0;
    if (marks.at == NULL)
        return;
    for (int i = 0; i < 6; i++)
        drop_marked(numbers[i], &marks);
    for (int64_t i = 0, t = 0; i < b->answers; i++) {
        const int64_t end = (int64_t)b->offsets.at[i + 1];
        bool forced = false;
        for (; t < end; t++) {
            forced = forced || marks.at[t] != 0;
            kept += marks.at[t] == 0;
        }
        b->offsets.at[i + 1] = (double)kept;
        b->forced += forced;
        expect_near("finish_reason of a forced answer", b->finish.at[i] == 3, forced, 0);
    }
    list_free(&marks);
}

static struct batch read_batch(const char *path, bool sft) {
    struct batch b = {.h5 = open_file(path)};
    struct list group = read_list(b.h5, "/answer/group");
    b.answers = group.n;
    b.groups = 1 + (int64_t)group.at[group.n - 1];
    b.size = b.answers / b.groups;
    for (int64_t i = 0; i < b.answers; i++)
        expect_near("/answer/group", group.at[i], (double)(i / b.size), 0);
    list_free(&group);
    b.offsets = read_list(b.h5, "/answer/offsets");
    b.finish = read_list(b.h5, "/answer/finish_reason");
    b.logprob = read_list(b.h5, "/token/logprob");
    b.entropy = read_list(b.h5, "/token/entropy");
    if (sft)
        return b;
    b.reward = read_list(b.h5, "/answer/reward");
    b.advantage = read_list(b.h5, "/answer/advantage");
    b.reference = optional(b.h5, "/token/logprob_reference");
    b.ratio = read_list(b.h5, "/token/ratio");
    b.derivative = read_list(b.h5, "/token/gate_derivative");
    b.sampler = read_list(b.h5, "/token/logprob_sampler");
    read_rewards(&b);
    drop_forced(&b);
    return b;
}

static int64_t begin_of(const struct batch *b, int64_t answer) {
    return (int64_t)b->offsets.at[answer];
}

static int64_t length_of(const struct batch *b, int64_t answer) {
    return begin_of(b, answer + 1) - begin_of(b, answer);
}

/* --- rewards and advantages --- */

/* R − β Σ k under π_old, where the penalty goes into the reward. */
static void penalise(struct batch *b, const struct settings *s) {
    require(memory_new(&b->penalised, b->answers, "rewards"));
    for (int64_t i = 0; i < b->answers; i++) {
        double sum = 0;
        for (int64_t t = begin_of(b, i); b->reference.at != NULL && t < begin_of(b, i + 1); t++)
            sum += divergence(s, b->logprob.at[t], b->reference.at[t]);
        b->penalised[i] = b->reward.at[i] - (s->kl_in_loss ? 0 : s->kl_coef * sum);
    }
}

static double mean_penalised(const struct batch *b) {
    return moments_of(b->penalised, b->answers).mean;
}

static double advantage_of(const struct batch *b, const struct settings *s, int64_t i) {
    if (same(s->advantage, "ema")) /* the baseline is told; in the first step it is the mean */
        return b->penalised[i] - setting_number("baseline", mean_penalised(b));
    const double *group = b->penalised + i / b->size * b->size;
    const struct moments own = moments_of(group, b->size);
    const double centred = b->penalised[i] - own.mean;
    if (own.least == own.most)
        return 0;
    if (same(s->advantage, "group"))
        return centred / (own.deviation + 1e-4);
    if (same(s->advantage, "batch"))
        return centred / (moments_of(b->penalised, b->answers).deviation + 1e-4);
    if (same(s->advantage, "leave_one_out"))
        return b->penalised[i] -
               (own.mean * own.n - b->penalised[i]) / (own.n - 1); /* mean of the others */
    return centred;
}

static void check_rewards(struct batch *b, const struct settings *s) {
    struct list written = optional(b->h5, "/answer/reward_penalised");
    const bool penalty = s->kl_coef != 0 && !s->kl_in_loss;
    for (int64_t i = 0; i < b->answers; i++) {
        double reward = 0;
        for (int p = 0; p < PARTS; p++)
            reward += isnan(b->weight[p]) ? 0 : b->weight[p] * b->part[p].at[i];
        expect_near("/answer/reward", b->reward.at[i], reward, 1e-12);
        if (!isnan(b->weight[2]))
            expect_near("/answer/reward_length", b->part[2].at[i],
                        (double)length_of(b, i) / s->max_new_tokens, 1e-12);
    }
    penalise(b, s);
    expect_near("/answer/reward_penalised is there", written.at != NULL, penalty, 0);
    for (int64_t i = 0; i < b->answers; i++) {
        if (written.at != NULL)
            expect_near("/answer/reward_penalised", written.at[i], b->penalised[i], 1e-10);
        expect_near("/answer/advantage", b->advantage.at[i], advantage_of(b, s, i),
                    1e-9 * (1 + fabs(b->advantage.at[i])));
    }
    list_free(&written);
}

/* --- metrics of the step --- */

static void check_step(struct h5 *d, const struct settings *s, const char *name, double want) {
    char path[96];
    snprintf(path, sizeof path, "/step/%s", name);
    expect_near(path, read_one(d, path, s->step - 1, 0), want, 1e-9 * (1 + fabs(want)));
}

static void check_series(struct h5 *d, const struct settings *s, const char *stem,
                         struct moments m) {
    char name[96];
    snprintf(name, sizeof name, "%s/mean", stem);
    check_step(d, s, name, m.mean);
    snprintf(name, sizeof name, "%s/std", stem);
    check_step(d, s, name, m.deviation);
}

static void check_reward_metrics(const struct batch *b, const struct settings *s, struct h5 *d) {
    double spread = 0, flat = 0;
    for (int64_t g = 0; g < b->groups; g++) {
        const struct moments own = moments_of(b->reward.at + g * b->size, b->size);
        spread += own.deviation / (double)b->groups;
        flat += own.least == own.most;
    }
    check_step(d, s, "reward", moments_of(b->reward.at, b->answers).mean);
    check_step(d, s, "reward_std", spread);
    check_step(d, s, "frac_reward_zero_std", flat / (double)b->groups);
    if (s->kl_coef != 0 && !s->kl_in_loss)
        check_step(d, s, "reward_penalised", moments_of(b->penalised, b->answers).mean);
    for (int p = 0; p < PARTS; p++) {
        char stem[32];
        snprintf(stem, sizeof stem, "rewards/%s", part_names[p]);
        if (!isnan(b->weight[p]))
            check_series(d, s, stem, moments_of(b->part[p].at, b->answers));
    }
    const struct moments advantage = moments_of(b->advantage.at, b->answers);
    check_series(d, s, "advantage", advantage);
    check_step(d, s, "advantage/abs_max", fmax(advantage.most, -advantage.least));
}

static void check_lengths(const struct batch *b, const struct settings *s, struct h5 *d) {
    double cut = 0, ended = 0, most = 0, least = INFINITY;
    for (int64_t i = 0; i < b->answers; i++) {
        const double n = (double)length_of(b, i);
        most = fmax(most, n);
        least = fmin(least, n);
        cut += b->finish.at[i] == 1;
        ended += b->finish.at[i] == 1 ? 0 : n;
        if (!s->sft && b->finish.at[i] == 1 && s->answer_tokens == 0)
            expect_near("length of a cut answer", n, s->max_new_tokens, 0);
    }
    const double n = (double)b->answers;
    check_step(d, s, "completions/mean_length", b->offsets.at[b->answers] / n);
    check_step(d, s, "completions/min_length", least);
    check_step(d, s, "completions/max_length", most);
    if (s->think_tokens > 0)
        check_step(d, s, "completions/forced_ratio", b->forced / n);
    if (b->forced > 0) /* the file does not say how these ended */
        return;
    check_step(d, s, "completions/clipped_ratio", cut / n);
    check_step(d, s, "completions/mean_terminated_length", n > cut ? ended / (n - cut) : 0);
}

/* What counts up, and the schedule (algorithm of transformers, warm-up from 0). */
static void check_progress(const struct batch *b, const struct settings *s, struct h5 *d) {
    const double base = setting_number("optimizer.learning_rate", 1e-6),
                 warmup = setting_number("optimizer.warmup_steps", 0), done = (double)s->step - 1,
                 passes = (double)(s->step * s->iterations * s->mini_batches),
                 prompts = (double)(s->step * b->groups);
    const double p = (done - warmup) / ((double)s->steps - warmup);
    const char *schedule = setting_word("optimizer.schedule", "constant");
    double factor = same(schedule, "linear")   ? 1 - p
                    : same(schedule, "cosine") ? (1 + cos(acos(-1.0) * p)) / 2
                                               : 1;
    factor = done < warmup ? done / warmup : factor;
    check_step(d, s, "learning_rate", base * factor);
    check_step(d, s, "update/backward_passes", passes);
    check_step(d, s, "update/optimizer_steps", passes);
    check_step(d, s, "update/skipped", 0);
    check_step(d, s, "epoch",
               (prompts + setting_number("replaced", 0)) / setting_number("data.prompts", 0));
    check_step(d, s, "prompts_seen", prompts + setting_number("replaced", 0));
    if (s->step == 1)
        check_step(d, s, "num_tokens", b->offsets.at[b->answers]);
}

static void check_mismatch(const struct batch *b, const struct settings *s, struct h5 *d) {
    double sum = 0, most = 0;
    for (int64_t t = 0; t < b->logprob.n; t++) {
        sum += fabs(b->sampler.at[t] - b->logprob.at[t]);
        most = fmax(most, fabs(b->sampler.at[t] - b->logprob.at[t]));
    }
    check_step(d, s, "mismatch/logprob_max", most);
    check_step(d, s, "mismatch/logprob_mean", sum / (double)b->logprob.n);
}

/* --- metrics of a pass --- */

/* Sums of one pass over the groups [begin, end), recomputed. */
struct pass {
    int64_t index, begin, end;
    double answers, tokens;
    bool ratio_known, ratio_is_one; /* from the file; else it is 1 */
    double policy, scale, kl_loss, entropy_loss, kl, entropy, eur, region;
    double slope, slope_positive, slope_negative, positive, negative, low, high, ratio, ratio_max;
};

static double weight_of(const struct pass *p, const struct settings *s, double n) {
    if (same(s->aggregation, "token_mean"))
        return 1 / p->tokens;
    return same(s->aggregation, "constant") ? 1 / (p->answers * s->max_new_tokens)
                                            : 1 / (p->answers * n);
}

static void add_token(struct pass *p, const struct batch *b, const struct settings *s, int64_t i,
                      int64_t t, double *slopes, double *clipped) {
    const double w = weight_of(p, s, (double)length_of(b, i)), A = b->advantage.at[i],
                 r = p->ratio_is_one ? 1 : b->ratio.at[t];
    double f, slope;
    gate(s, r, A, &f, &slope);
    if (!p->ratio_is_one)
        expect_near("/token/gate_derivative", b->derivative.at[t], slope, 2e-5);
    p->policy -= w * f * A;
    p->scale += w * fabs(A) * fmax(1, fabs(r));
    p->slope += slope;
    p->slope_positive += A > 0 ? slope : 0;
    p->slope_negative += A < 0 ? slope : 0;
    p->positive += A > 0;
    p->negative += A < 0;
    p->low += A < 0 && r < 1 - s->low;
    p->high += A > 0 && r > 1 + s->high;
    p->ratio += r;
    p->ratio_max = fmax(p->ratio_max, r);
    *slopes += slope;
    *clipped += A > 0 ? r > 1 + s->high : r < 1 - s->low || (A < 0 && s->dual > 0 && r > s->dual);
    if (b->reference.at != NULL) { /* log π now = log π_old + log r, where r is the token's own */
        const double k = divergence(s, b->logprob.at[t] + log(r), b->reference.at[t]);
        p->kl += k;
        p->kl_loss += s->kl_in_loss ? w * s->kl_coef * k : 0;
    }
}

static void add_group(struct pass *p, const struct batch *b, const struct settings *s, int64_t g) {
    double slopes = 0, clipped = 0, tokens = 0;
    for (int64_t i = g * b->size; i < (g + 1) * b->size; i++) {
        double rho = 0;
        for (int64_t t = begin_of(b, i); t < begin_of(b, i + 1); t++) {
            tokens++;
            p->entropy += b->entropy.at[t];
            p->entropy_loss -=
                s->entropy_coef * weight_of(p, s, (double)length_of(b, i)) * b->entropy.at[t];
            if (s->sft)
                p->policy -= weight_of(p, s, (double)length_of(b, i)) * b->logprob.at[t];
            else
                add_token(p, b, s, i, t, &slopes, &clipped);
            rho += s->sft || p->ratio_is_one ? 0 : log(b->ratio.at[t]);
        }
        if (s->sequence && !p->ratio_is_one)
            expect_near("a sequence has one ratio", exp(rho / (double)length_of(b, i)),
                        b->ratio.at[begin_of(b, i)], 1e-6);
    }
    p->eur += slopes / tokens;
    p->region += clipped / tokens;
}

static void check_pass(struct h5 *d, const struct settings *s, const struct pass *p,
                       const char *name, double want, double tolerance) {
    char path[96];
    snprintf(path, sizeof path, "/pass/%s", name);
    const double have = read_one(d, path, s->step - 1, p->index);
    snprintf(path, sizeof path, "/pass/%s of pass %d", name, (int)p->index + 1);
    expect_near(path, have, want, tolerance * (1 + fabs(want)));
}

static void check_gates(struct h5 *d, const struct settings *s, const struct pass *p) {
    const double groups = (double)(p->end - p->begin);
    check_pass(d, s, p, "policy_loss", p->policy, 1e-6 * (1 + p->scale));
    check_pass(d, s, p, "eur", p->eur / groups, 2e-6);
    check_pass(d, s, p, "clip_ratio/region_mean", p->region / groups, 1e-9);
    check_pass(d, s, p, "clip_ratio/low_mean", p->low / p->tokens, 1e-9);
    check_pass(d, s, p, "clip_ratio/high_mean", p->high / p->tokens, 1e-9);
    check_pass(d, s, p, "ratio/mean", p->ratio / p->tokens, 1e-6);
    check_pass(d, s, p, "ratio/max", p->ratio_max, 1e-6);
    check_pass(d, s, p, "gate/derivative_mean", p->slope / p->tokens, 2e-6);
    check_pass(d, s, p, "gate/derivative_positive",
               p->positive > 0 ? p->slope_positive / p->positive : (double)NAN, 2e-6);
    check_pass(d, s, p, "gate/derivative_negative",
               p->negative > 0 ? p->slope_negative / p->negative : (double)NAN, 2e-6);
}

/* `first`: the pass in which the file's entropies were measured. */
static void check_one_pass(const struct batch *b, const struct settings *s, struct h5 *d,
                           struct pass p, bool first) {
    p.ratio_max = -INFINITY;
    for (int64_t i = p.begin * b->size; i < p.end * b->size; i++) {
        p.answers++;
        p.tokens += (double)length_of(b, i);
    }
    for (int64_t g = p.begin; g < p.end; g++)
        add_group(&p, b, s, g);
    if (!s->sft)
        check_gates(d, s, &p);
    if (first)
        check_pass(d, s, &p, "entropy", p.entropy / p.tokens, 1e-6);
    const bool logprob_known = p.ratio_is_one || !s->sequence;
    if (b->reference.at != NULL && logprob_known)
        check_pass(d, s, &p, "kl", p.kl / p.tokens, 2e-6);
    if ((first || s->entropy_coef == 0) && (b->reference.at == NULL || logprob_known))
        check_pass(d, s, &p, "loss", p.policy + p.kl_loss + p.entropy_loss,
                   1e-6 * (1 + p.scale) + 2e-6 * fabs(p.kl_loss));
}

/* Group with which mini-batch m begins: as even as possible, the longer ones first. */
static int64_t mini_batch_begin(const struct batch *b, const struct settings *s, int64_t m) {
    int64_t begin = 0;
    for (int64_t k = 0; k < m; k++)
        begin += b->groups / s->mini_batches + (k < b->groups % s->mini_batches);
    return begin;
}

/* The first pass of each mini-batch where its ratios are all 1, and the last one. */
static void check_passes(const struct batch *b, const struct settings *s, struct h5 *d) {
    for (int64_t m = 0; m < s->mini_batches; m++) {
        struct pass p = {.index = m,
                         .begin = mini_batch_begin(b, s, m),
                         .end = mini_batch_begin(b, s, m + 1),
                         .ratio_is_one = true};
        if (m == 0)
            check_one_pass(b, s, d, p, true);
        p.ratio_is_one = s->sft;
        p.index = (s->iterations - 1) * s->mini_batches + m;
        if (!s->sft || s->iterations == 1)
            check_one_pass(b, s, d, p, s->iterations == 1);
    }
}

/* The step's number is the mean of its passes, the largest for ratio/max. */
static void check_means(const struct settings *s, struct h5 *d) {
    static const char *const names[] = {"loss", "entropy", "grad_norm", "eur", "ratio/mean"};
    const int64_t passes = s->iterations * s->mini_batches;
    for (size_t i = 0; i < (s->sft ? 3 : sizeof names / sizeof *names); i++) {
        char path[64];
        double mean = 0;
        snprintf(path, sizeof path, "/pass/%s", names[i]);
        for (int64_t p = 0; p < passes; p++)
            mean += read_one(d, path, s->step - 1, p) / (double)passes;
        check_step(d, s, names[i], mean);
    }
    double most = -INFINITY;
    for (int64_t p = 0; !s->sft && p < passes; p++)
        most = fmax(most, read_one(d, "/pass/ratio/max", s->step - 1, p));
    if (!s->sft)
        check_step(d, s, "ratio/max", most);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        printf("usage: recompute RUN STEP [group.name=value ...]\n");
        return 2;
    }
    char path[1024];
    setting_words = argv + 3;
    setting_count = argc - 3;
    const struct settings s = settings_of(strtol(argv[2], NULL, 10));
    snprintf(path, sizeof path, "%s/rollouts/step-%06d.h5", argv[1], (int)s.step);
    struct batch b = read_batch(path, s.sft);
    snprintf(path, sizeof path, "%s/diagnostics.h5", argv[1]);
    struct h5 *d = open_file(path);
    if (!s.sft) {
        check_rewards(&b, &s);
        check_reward_metrics(&b, &s, d);
        check_mismatch(&b, &s, d);
    }
    check_lengths(&b, &s, d);
    check_progress(&b, &s, d);
    check_passes(&b, &s, d);
    check_means(&s, d);
    (void)h5_close(&d);
    (void)h5_close(&b.h5);
    return verdict();
}
