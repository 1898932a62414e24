/* SPDX-License-Identifier: Apache-2.0
 *
 * Distillation on rows of logits, every divergence, clip and choice of entries, against the formulas in
 * double, whose gradient is checked by central differences: loss, divergence, counts and gradient;
 * equal logits; entries exactly at the clip; bits by block and by row.
 */
#include "fixture.h"

enum { ROWS = 7 };

/* What a run of the operations gives. */
struct result {
    float *divergence, *loss, *gradient;
    int32_t *clipped, *agreement;
    struct distill_slope *slope;
};

struct problem {
    float *student, *teacher; /* (ROWS, V) of the backend */
    const double *s, *t;      /* the same */
    float *weight;
    double weights[ROWS];
    int64_t V;
    int32_t top_k;
    struct distill_settings settings;
};

static const char *name_of(const struct problem *p) {
    static char name[160];
    const struct distill_settings *s = &p->settings;
    snprintf(name, sizeof name, "divergence %d, beta %g, clip %g of %s, top %d, T %g, V %lld",
             (int)s->divergence, (double)s->beta, (double)s->clip,
             s->clip_tokens ? "tokens" : "entries", (int)p->top_k, (double)s->temperature,
             (long long)p->V);
    return name;
}

static struct result result_new(struct fixture *f, int64_t V) {
    return (struct result){.divergence = fixture_floats(f, NULL, ROWS),
                           .loss = fixture_floats(f, NULL, ROWS),
                           .gradient = fixture_floats(f, NULL, ROWS * V),
                           .clipped = fixture_ints(f, NULL, ROWS),
                           .agreement = fixture_ints(f, NULL, ROWS),
                           .slope = fixture_upload(f, NULL, ROWS * sizeof(struct distill_slope))};
}

/* --- a run --- */

/* Rows [first, first + R) of a problem with blocks of `step` columns. */
struct run {
    struct fixture *f;
    const struct problem *p;
    struct result out;
    struct head_shift *student_shift, *teacher_shift;
    struct distill_top *top;
    int64_t first, R, step;
};

static int64_t columns_of(const struct run *run, int64_t begin) {
    return run->p->V - begin < run->step ? run->p->V - begin : run->step;
}

static struct head_shift *shifts(const struct run *run, const float *logits) {
    struct fixture *f = run->f;
    struct head_row *rows = fixture_upload(f, NULL, ROWS * sizeof *rows);
    struct head_shift *shift = fixture_upload(f, NULL, ROWS * sizeof *shift);
    const int32_t *targets = fixture_ints(f, NULL, ROWS);
    float *scores = fixture_floats(f, NULL, 2 * ROWS);
    const float temperature = run->p->settings.temperature;
    for (int64_t begin = 0; begin < run->p->V; begin += run->step)
        CHECK_OK(backend_run(&f->backend, head_block, .logits = logits + begin, .targets = targets,
                             .rows = rows, .R = run->R, .columns = columns_of(run, begin),
                             .ld = run->p->V, .begin = begin, .temperature = temperature));
    CHECK_OK(backend_run(&f->backend, head_finish, .rows = rows, .logprob = scores,
                         .entropy = scores + ROWS, .shift = shift, .R = run->R,
                         .temperature = temperature));
    return shift;
}

static struct distill_logits block_at(const struct run *run, int64_t begin) {
    const int64_t at = run->first * run->p->V + begin;
    return (struct distill_logits){.student = run->p->student + at,
                                   .teacher = run->p->teacher + at,
                                   .student_shift = run->student_shift,
                                   .teacher_shift = run->teacher_shift,
                                   .top = run->top,
                                   .begin = begin,
                                   .R = run->R,
                                   .columns = columns_of(run, begin),
                                   .ld = run->p->V};
}

static void run_sums(struct run *run) {
    struct fixture *f = run->f;
    const struct problem *p = run->p;
    const struct result *out = &run->out;
    const int64_t at = run->first * p->V;
    struct distill_row *rows = fixture_upload(f, NULL, ROWS * sizeof *rows);
    run->student_shift = shifts(run, p->student + at);
    run->teacher_shift = shifts(run, p->teacher + at);
    if (p->top_k > 0) {
        run->top = fixture_upload(f, NULL, ROWS * sizeof *run->top);
        CHECK_OK(backend_run(&f->backend, distill_top, .student = p->student + at,
                             .teacher = p->teacher + at, .top = run->top, .R = run->R, .V = p->V,
                             .ld = p->V, .k = p->top_k, .temperature = p->settings.temperature));
    }
    for (int64_t begin = 0; begin < p->V; begin += run->step)
        CHECK_OK(backend_run(&f->backend, distill_block, .logits = block_at(run, begin),
                             .rows = rows, .settings = p->settings));
    CHECK_OK(backend_run(&f->backend, distill_finish, .rows = rows,
                         .divergence = out->divergence + run->first, .loss = out->loss + run->first,
                         .clipped = out->clipped + run->first,
                         .agreement = out->agreement + run->first, .slope = out->slope + run->first,
                         .R = run->R, .settings = p->settings));
}

static void run_gradient(struct run *run) {
    const struct problem *p = run->p;
    for (int64_t begin = 0; begin < p->V; begin += run->step)
        CHECK_OK(backend_run(&run->f->backend, distill_backward, .logits = block_at(run, begin),
                             .slope = run->out.slope + run->first, .weight = p->weight + run->first,
                             .out = run->out.gradient + run->first * p->V + begin,
                             .dtype = DTYPE_F32, .settings = p->settings));
}

static void run_all(struct fixture *f, const struct problem *p, int64_t first, int64_t R,
                    int64_t step, struct result out) {
    struct run run = {.f = f, .p = p, .out = out, .first = first, .R = R, .step = step};
    run_sums(&run);
    run_gradient(&run);
}

/* --- problems --- */

/* Normal logits of the student, the teacher's near them: row 1 very near, row 2 equal, row 3 not at all;
 * in row 4 the student is far from 0, in row 5 the teacher is sure of one entry, and in row 6 all of
 * its logits are equal, which makes ties at every border. */
static void make_logits(struct fixture *f, struct problem *p) {
    static const double apart[ROWS] = {1, 1e-3, 0, 6, 1, 3, 0};
    const int64_t n = ROWS * p->V;
    float *s = calloc((size_t)n, sizeof *s), *t = calloc((size_t)n, sizeof *t), w[ROWS];
    ASSERT(s != NULL && t != NULL);
    for (int64_t i = 0; i < n; i++) {
        const int64_t r = i / p->V;
        const double z = 3 * random_normal(7, RANDOM_TEST, 0, (uint32_t)i, 0, 0);
        const double y = random_normal(7, RANDOM_TEST, 1, (uint32_t)i, 0, 0);
        s[i] = (float)(r == 4 ? z - 300 : z);
        t[i] = r == 6 ? 2 : r == 2 ? s[i] : (float)(z + apart[r] * y);
        if (r == 5 && i % p->V == p->V / 3)
            t[i] = 60;
    }
    for (int r = 0; r < ROWS; r++)
        p->weights[r] = (double)(w[r] = 0.25f + 0.5f * (float)r);
    p->student = fixture_floats(f, s, n);
    p->teacher = fixture_floats(f, t, n);
    p->s = fixture_doubles(f, p->student, n);
    p->t = fixture_doubles(f, p->teacher, n);
    p->weight = fixture_floats(f, w, ROWS);
    free(s);
    free(t);
}

static struct reference_distill reference_of(const struct problem *p, int64_t r) {
    return (struct reference_distill){.student = p->s + r * p->V,
                                      .teacher = p->t + r * p->V,
                                      .V = p->V,
                                      .top_k = p->top_k,
                                      .settings = p->settings};
}

/* |have − want| ≤ tolerance · (size + |want|). */
static void compare(const struct fixture *f, const struct problem *p, const char *what, int64_t at,
                    double have, double want, double size, double tolerance) {
    if (!(fabs(have - want) <= tolerance * (size + fabs(want))))
        CHECK_FAILED("%s: %s, %s of %lld is %.9g, expected %.9g", f->name, name_of(p), what,
                     (long long)at, have, want);
}

static int64_t first_largest(const double *z, int64_t V) {
    int64_t best = 0;
    for (int64_t v = 1; v < V; v++)
        best = z[v] > z[best] ? v : best;
    return best;
}

/* Rows with an entry so near to the clip that rounding decides are left out: at most one. */
static void check_against_reference(struct fixture *f, const struct problem *p,
                                    struct result have) {
    const int64_t V = p->V;
    double *want = fixture_host(f, V);
    const double *divergence = fixture_doubles(f, have.divergence, ROWS),
                 *loss = fixture_doubles(f, have.loss, ROWS),
                 *gradient = fixture_doubles(f, have.gradient, ROWS * V);
    int32_t clipped[ROWS], agreement[ROWS];
    int left_out = 0;
    CHECK_OK(f->backend.ops->download(&f->backend, clipped, have.clipped, sizeof clipped));
    CHECK_OK(f->backend.ops->download(&f->backend, agreement, have.agreement, sizeof agreement));
    for (int64_t r = 0; r < ROWS; r++) {
        struct reference_distilled out = {.gradient = want};
        const struct reference_distill args = reference_of(p, r);
        reference_distill(&args, &out);
        const bool near = out.margin < 2e-6 * (double)p->settings.clip + 1e-9;
        left_out += near;
        compare(f, p, "divergence", r, divergence[r], out.divergence, 1, 2e-6);
        compare(f, p, "loss", r, loss[r], out.loss, 1, 2e-6);
        if (!near && clipped[r] != out.clipped)
            CHECK_FAILED("%s: %s, %d entries of row %lld are clipped, expected %lld", f->name,
                         name_of(p), (int)clipped[r], (long long)r, (long long)out.clipped);
        CHECK_EQ(agreement[r], first_largest(p->s + r * V, V) == first_largest(p->t + r * V, V));
        /* a reverse KL pulls by p (δ − Σ p δ), as exact as its terms are large */
        const bool reverse = p->settings.divergence == DIVERGENCE_REVERSE_KL;
        const double size = reverse ? 0.3 + 0.3 * out.divergence : 0.3;
        for (int64_t v = 0; v < V && !near; v++)
            compare(f, p, "gradient", r * V + v, gradient[r * V + v], p->weights[r] * want[v],
                    size * p->weights[r] / (double)p->settings.temperature, 3e-6);
    }
    if (left_out > 1)
        CHECK_FAILED("%s: %s, %d rows have an entry at the clip", f->name, name_of(p), left_out);
}

/* Of a forward KL without a clip the gradient is (p_S − p_T) / T. */
static void check_difference(struct fixture *f, const struct problem *p, struct result have) {
    const int64_t V = p->V;
    const double T = (double)p->settings.temperature;
    const double *gradient = fixture_doubles(f, have.gradient, ROWS * V);
    for (int64_t r = 0; r < ROWS; r++) {
        const double *s = p->s + r * V, *t = p->t + r * V;
        const double s_max = s[first_largest(s, V)], t_max = t[first_largest(t, V)];
        double s_sum = 0, t_sum = 0;
        for (int64_t v = 0; v < V; v++) {
            s_sum += exp((s[v] - s_max) / T);
            t_sum += exp((t[v] - t_max) / T);
        }
        for (int64_t v = 0; v < V; v++)
            compare(f, p, "gradient", r * V + v, gradient[r * V + v],
                    p->weights[r] / T *
                        (exp((s[v] - s_max) / T) / s_sum - exp((t[v] - t_max) / T) / t_sum),
                    0.3 * p->weights[r] / T, 3e-6);
    }
}

/* Of row 2, where student and teacher are equal: exactly. */
static void check_zero(struct fixture *f, const struct problem *p, struct result have) {
    const double *divergence = fixture_doubles(f, have.divergence, ROWS),
                 *loss = fixture_doubles(f, have.loss, ROWS),
                 *gradient = fixture_doubles(f, have.gradient, ROWS * p->V);
    compare(f, p, "divergence", 2, divergence[2], 0, 0, 0);
    compare(f, p, "loss", 2, loss[2], 0, 0, 0);
    for (int64_t i = 2 * p->V; i < 3 * p->V; i++)
        compare(f, p, "gradient", i, gradient[i], 0, 0, 0);
}

static void check_same(struct fixture *f, const struct problem *p, struct result have) {
    const int64_t V = p->V;
    const struct result other = result_new(f, V);
    run_all(f, p, 0, ROWS, HEAD_BLOCK, other);
    fixture_same_arrays(f, "loss, block by block", have.loss, other.loss, ROWS);
    fixture_same_arrays(f, "gradient, block by block", have.gradient, other.gradient, ROWS * V);
    run_all(f, p, 3, 1, V, other);
    fixture_same_arrays(f, "loss of one row", have.loss, other.loss, ROWS);
    fixture_same_arrays(f, "gradient of one row", have.gradient, other.gradient, ROWS * V);
}

static void test_problem(struct fixture *f, int64_t V, int32_t top_k,
                         const struct distill_settings *settings, bool again) {
    struct problem p = {.V = V, .top_k = top_k, .settings = *settings};
    make_logits(f, &p);
    const struct result have = result_new(f, V);
    run_all(f, &p, 0, ROWS, V, have);
    check_against_reference(f, &p, have);
    check_zero(f, &p, have);
    if (settings->divergence == DIVERGENCE_FORWARD_KL && settings->clip <= 0.0f && top_k == 0)
        check_difference(f, &p, have);
    if (again)
        check_same(f, &p, have);
    fixture_reset(f);
}

static const struct {
    enum divergence divergence;
    float beta;
} RULES[] = {{DIVERGENCE_FORWARD_KL, 0},
             {DIVERGENCE_REVERSE_KL, 0},
             {DIVERGENCE_JSD, 0.5f},
             {DIVERGENCE_JSD, 0.1f},
             {DIVERGENCE_JSD, 0.97f}};

/* Each rule without a clip, with one by entry, and with one by token. */
static void test_all(struct fixture *f) {
    static const struct {
        float clip, temperature;
        bool clip_tokens;
        int32_t top_k;
        int64_t V;
    } cases[] = {{0, 1, false, 0, 1300},    {0, 0.7f, false, 0, 37}, {0.003f, 1.2f, false, 0, 1300},
                 {1e-6f, 1, false, 0, 300}, {0.4f, 1, true, 0, 300}, {0.02f, 1.1f, false, 20, 1300},
                 {0, 0.05f, false, 0, 40},  {0, 1, false, 1, 300},   {0, 1.2f, false, 300, 1300},
                 {0.02f, 10, false, 12, 12}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t rule = 0; rule < sizeof RULES / sizeof *RULES; rule++)
            test_problem(f, cases[i].V, cases[i].top_k,
                         &(struct distill_settings){.divergence = RULES[rule].divergence,
                                                    .beta = RULES[rule].beta,
                                                    .clip = cases[i].clip,
                                                    .clip_tokens = cases[i].clip_tokens,
                                                    .temperature = cases[i].temperature},
                         rule == i % 5);
}

/* --- at the clip --- */

/* One entry, whose h is known to the bit because it is the row's sum. With log p_S = −log_student and
 * log p_T = −log_teacher; p_S and gradient for a factor of 1. */
struct single {
    float divergence, loss, gradient, probability;
    int32_t clipped;
};

static struct single run_single(struct fixture *f, const struct distill_settings *settings,
                                float log_student, float log_teacher) {
    const struct head_shift student = {0, log_student}, teacher = {0, log_teacher};
    const float zero = 0, one = 1;
    const struct distill_slope slope = {0, 1};
    struct result out = result_new(f, 1);
    struct distill_row *row = fixture_upload(f, NULL, sizeof *row);
    const float *z = fixture_floats(f, &zero, 1);
    const struct distill_logits logits = {
        .student = z,
        .teacher = z,
        .student_shift = fixture_upload(f, &student, sizeof student),
        .teacher_shift = fixture_upload(f, &teacher, sizeof teacher),
        .R = 1,
        .columns = 1,
        .ld = 1};
    CHECK_OK(backend_run(&f->backend, distill_block, .logits = logits, .rows = row,
                         .settings = *settings));
    CHECK_OK(backend_run(&f->backend, distill_finish, .rows = row, .divergence = out.divergence,
                         .loss = out.loss, .clipped = out.clipped, .agreement = out.agreement,
                         .slope = out.slope, .R = 1, .settings = *settings));
    CHECK_OK(backend_run(&f->backend, distill_backward, .logits = logits,
                         .slope = fixture_upload(f, &slope, sizeof slope),
                         .weight = fixture_floats(f, &one, 1), .out = out.gradient,
                         .dtype = DTYPE_F32, .settings = *settings));
    struct single single = {.divergence = (float)fixture_doubles(f, out.divergence, 1)[0],
                            .loss = (float)fixture_doubles(f, out.loss, 1)[0],
                            .gradient = (float)fixture_doubles(f, out.gradient, 1)[0],
                            .probability = (float)exp(-(double)log_student)};
    CHECK_OK(f->backend.ops->download(&f->backend, &single.clipped, out.clipped, sizeof(int32_t)));
    fixture_reset(f);
    return single;
}

/* A clip at h itself takes the entry, and so does one below; the next larger float does not. */
static void test_at_clip(struct fixture *f) {
    static const float clipped_pull[] = {1, -1, 0}; /* in units of p_S */
    for (size_t rule = 0; rule < sizeof RULES / sizeof *RULES; rule++) {
        const bool reverse = RULES[rule].divergence == DIVERGENCE_REVERSE_KL;
        const float first = reverse ? 0.7f : 2.1f, second = reverse ? 2.1f : 0.7f;
        struct distill_settings settings = {
            .divergence = RULES[rule].divergence, .beta = RULES[rule].beta, .temperature = 1};
        const struct single free = run_single(f, &settings, first, second);
        CHECK(free.divergence > 0 && free.clipped == 0 && free.loss == free.divergence);
        for (int side = -1; side <= 1; side++) {
            settings.clip = side == 0
                                ? free.divergence
                                : nextafterf(free.divergence, side < 0 ? -INFINITY : INFINITY);
            const struct single have = run_single(f, &settings, first, second);
            const bool taken = side <= 0;
            CHECK_EQ(have.clipped, taken);
            CHECK(have.divergence == free.divergence);
            CHECK(have.loss == (taken ? settings.clip : free.divergence));
            CHECK_NEAR(have.gradient,
                       taken ? clipped_pull[RULES[rule].divergence] * free.probability
                             : free.gradient,
                       taken ? 1e-7 : 0);
            settings.clip_tokens = true;
            const struct single token = run_single(f, &settings, first, second);
            CHECK_EQ(token.clipped, taken);
            CHECK(token.loss == (taken ? settings.clip : free.divergence));
            settings.clip_tokens = false;
        }
    }
}

/* A clip of tokens leaves an entry alone that is above it, where the others make the sum smaller. */
static void test_clip_of_tokens(struct fixture *f) {
    float s[2 * ROWS], t[2 * ROWS], weight[ROWS];
    for (int i = 0; i < 2 * ROWS; i++) {
        s[i] = (float)(i % 2);
        t[i] = 1 - s[i];
        weight[i / 2] = 1;
    }
    for (int rule = 0; rule < 2; rule++) { /* h is 0.73 and −0.27 */
        struct problem p = {.V = 2,
                            .student = fixture_floats(f, s, 2 * ROWS),
                            .teacher = fixture_floats(f, t, 2 * ROWS),
                            .weight = fixture_floats(f, weight, ROWS),
                            .settings = {.divergence = RULES[rule].divergence, .temperature = 1}};
        const struct result free = result_new(f, 2), have = result_new(f, 2);
        run_all(f, &p, 0, ROWS, 2, free);
        p.settings.clip = 0.5f;
        p.settings.clip_tokens = true;
        run_all(f, &p, 0, ROWS, 2, have);
        fixture_same_arrays(f, "loss below a clip of tokens", free.loss, have.loss, ROWS);
        fixture_same_arrays(f, "gradient below a clip of tokens", free.gradient, have.gradient,
                            2 * ROWS);
        fixture_reset(f);
    }
}

/* --- the reference --- */

/* The gradient in double is the slope of the loss in double; an entry exactly at the clip has none. */
static void test_reference(void) {
    enum { V = 13 };
    const double step = 1e-6;
    double s[V], t[V], gradient[V];
    for (uint32_t v = 0; v < V; v++) {
        s[v] = 2 * random_normal(8, RANDOM_TEST, v, 0, 0, 0);
        t[v] = s[v] + random_normal(8, RANDOM_TEST, v, 1, 0, 0);
    }
    for (int i = 0; i < 20; i++) {
        static const float clips[] = {0, 0.01f, 0.4f, 0};
        const struct reference_distill args = {s,
                                               t,
                                               V,
                                               i / 5 == 3 ? 6 : 0,
                                               {.divergence = RULES[i % 5].divergence,
                                                .beta = RULES[i % 5].beta,
                                                .clip = clips[i / 5],
                                                .clip_tokens = i / 5 == 2,
                                                .temperature = 0.8f}};
        struct reference_distilled out = {.gradient = gradient};
        reference_distill(&args, &out);
        CHECK(out.margin > 1e-5);
        for (int v = 0; v < V; v++) {
            struct reference_distilled side[2] = {{.gradient = NULL}, {.gradient = NULL}};
            const double middle = s[v];
            for (int k = 0; k < 2; k++) {
                s[v] = middle + (k == 0 ? -step : step);
                reference_distill(&args, &side[k]);
            }
            s[v] = middle;
            CHECK_NEAR((side[1].loss - side[0].loss) / (2 * step), gradient[v], 1e-8);
        }
    }
}

int main(void) {
    test_reference();
    fixture_every(test_all);
    fixture_every(test_at_clip);
    fixture_every(test_clip_of_tokens);
    return CHECK_END();
}
