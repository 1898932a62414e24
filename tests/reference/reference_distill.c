/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reference.h"

#include <math.h>
#include <stdlib.h>

/* log softmax(z / T) over the entries that count. */
static void log_softmax_of(const double *z, const bool *counts, int64_t V, double temperature,
                           double *log_p) {
    double max = -INFINITY, sum = 0;
    for (int64_t v = 0; v < V; v++)
        if (counts[v])
            max = fmax(max, z[v]);
    for (int64_t v = 0; v < V; v++)
        sum += counts[v] ? exp((z[v] - max) / temperature) : 0;
    for (int64_t v = 0; v < V; v++)
        log_p[v] = (z[v] - max) / temperature - log(sum);
}

/* The teacher's k largest; an entry counts when fewer than k come before it. */
static void choose_top(const double *teacher, int64_t V, int64_t k, bool *counts) {
    for (int64_t v = 0; v < V; v++) {
        int64_t before = 0;
        for (int64_t w = 0; w < V && k > 0; w++)
            before += teacher[w] > teacher[v] || (teacher[w] == teacher[v] && w < v);
        counts[v] = k == 0 || before < k;
    }
}

/* h, and ∂h/∂log p_S. */
struct entry {
    double value, slope;
};

static struct entry entry_of(const struct distill_settings *settings, double student,
                             double teacher) {
    const double p = exp(student), q = exp(teacher), beta = (double)settings->beta;
    const double largest = fmax(log1p(-beta) + student, log(beta) + teacher);
    const double mixture =
        largest + log(exp(log1p(-beta) + student - largest) + exp(log(beta) + teacher - largest));
    switch (settings->divergence) {
    case DIVERGENCE_FORWARD_KL:
        return (struct entry){q * (teacher - student), -q};
    case DIVERGENCE_REVERSE_KL:
        return (struct entry){p * (student - teacher), p * (student - teacher + 1)};
    case DIVERGENCE_JSD:
        break;
    }
    return (struct entry){beta * q * (teacher - mixture) + (1 - beta) * p * (student - mixture),
                          (1 - beta) * p * (student - mixture)};
}

/* The sums over the entries, and a of each. */
static void add_up(const struct reference_distill *args, const bool *counts, const double *student,
                   const double *teacher, double *a, struct reference_distilled *out) {
    const struct distill_settings *settings = &args->settings;
    const double clip = (double)settings->clip;
    const bool clips = clip > 0 && !settings->clip_tokens;
    for (int64_t v = 0; v < args->V; v++) {
        const struct entry e =
            counts[v] ? entry_of(settings, student[v], teacher[v]) : (struct entry){0, 0};
        const bool clipped = clips && e.value >= clip;
        out->divergence += e.value;
        out->loss += clipped ? clip : e.value;
        out->clipped += clipped;
        out->margin = clips && counts[v] ? fmin(out->margin, fabs(e.value - clip)) : out->margin;
        a[v] = clipped ? 0 : e.slope;
    }
    if (clip <= 0 || !settings->clip_tokens)
        return;
    out->margin = fabs(out->divergence - clip);
    out->clipped = out->divergence >= clip;
    out->loss = out->clipped ? clip : out->divergence;
    for (int64_t v = 0; v < args->V && out->clipped; v++)
        a[v] = 0;
}

void reference_distill(const struct reference_distill *args, struct reference_distilled *out) {
    const int64_t V = args->V;
    const double temperature = (double)args->settings.temperature;
    double *student = reference_new(V), *teacher = reference_new(V), *a = reference_new(V);
    bool *counts = calloc((size_t)V, sizeof *counts);
    double sum = 0;
    if (counts == NULL)
        abort();
    choose_top(args->teacher, V, args->top_k, counts);
    log_softmax_of(args->student, counts, V, temperature, student);
    log_softmax_of(args->teacher, counts, V, temperature, teacher);
    *out = (struct reference_distilled){.margin = INFINITY, .gradient = out->gradient};
    add_up(args, counts, student, teacher, a, out);
    for (int64_t v = 0; v < V; v++)
        sum += a[v];
    for (int64_t v = 0; v < V && out->gradient != NULL; v++)
        out->gradient[v] = counts[v] ? (a[v] - exp(student[v]) * sum) / temperature : 0;
    free(student);
    free(teacher);
    free(a);
    free(counts);
}
