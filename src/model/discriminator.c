/* SPDX-License-Identifier: Apache-2.0 */
#include "model/discriminator.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

#define NORM_EPSILON      1e-5
#define INITIAL_DEVIATION 0.02

#define PREFIX "discriminator."

/* Its tensors, in the order of the flat vector. */
enum tensor { NORM_WEIGHT, NORM_BIAS, WEIGHT, BIAS, VALUE_WEIGHT, VALUE_BIAS, TENSORS };

struct discriminator {
    struct backend *backend;
    struct discriminator_settings settings;
    struct parameter parameters[TENSORS];
    struct parameter_set set;
    float *gradient;       /* (set.elements), backend memory: what the last backward gave */
    float *host;           /* (set.elements), on its way there or from the master */
    double *values, *sums; /* (set.elements): the head's, and their gradient */
    double *pooled, *normal, *y,
        *d_y; /* (C) of one sequence: x, (x − mean) / deviation, y, ∂ / ∂y */
};

/* --- its tensors --- */

int64_t discriminator_elements(const struct discriminator_settings *settings) {
    const int64_t C = settings->C;
    return 2 * C + 2 * C + 2 + (settings->value ? C + 1 : 0);
}

bool discriminator_names(const char *tensor) {
    return strncmp(tensor, PREFIX, sizeof PREFIX - 1) == 0;
}

static void list_tensors(struct discriminator *d) {
    const int64_t C = d->settings.C;
    const struct {
        const char *name;
        int64_t rows, columns;
        bool matrix;
    } list[TENSORS] = {
        [NORM_WEIGHT] = {"norm.weight", C, 1, false},  [NORM_BIAS] = {"norm.bias", C, 1, false},
        [WEIGHT] = {"linear.weight", 2, C, true},      [BIAS] = {"linear.bias", 2, 1, false},
        [VALUE_WEIGHT] = {"value.weight", 1, C, true}, [VALUE_BIAS] = {"value.bias", 1, 1, false},
    };
    d->set = (struct parameter_set){.items = d->parameters,
                                    .count = d->settings.value ? TENSORS : VALUE_WEIGHT};
    for (int64_t i = 0; i < d->set.count; i++) {
        struct parameter *p = &d->parameters[i];
        *p = (struct parameter){.rows = list[i].rows,
                                .columns = list[i].columns,
                                .matrix = list[i].matrix,
                                .offset = d->settings.offset + d->set.elements};
        snprintf(p->name, sizeof p->name, PREFIX "%s", list[i].name);
        d->set.elements += p->rows * p->columns;
    }
    ASSERT(d->set.elements == discriminator_elements(&d->settings));
}

/* Where a tensor begins among the head's own elements. */
static int64_t place_of(const struct discriminator *d, enum tensor tensor) {
    return d->parameters[tensor].offset - d->settings.offset;
}

static enum status create_memory(struct discriminator *d) {
    const int64_t C = d->settings.C, n = d->set.elements;
    TRY(memory_new(&d->host, n, "discriminator"));
    TRY(memory_new(&d->values, n, "discriminator"));
    TRY(memory_new(&d->sums, n, "discriminator"));
    TRY(memory_new(&d->pooled, C, "discriminator"));
    TRY(memory_new(&d->normal, C, "discriminator"));
    TRY(memory_new(&d->y, C, "discriminator"));
    TRY(memory_new(&d->d_y, C, "discriminator"));
    return backend_new(d->backend, &d->gradient, n, "discriminator");
}

enum status discriminator_create(struct discriminator **out, struct backend *backend,
                                 const struct discriminator_settings *settings) {
    TRY(memory_new(out, 1, "discriminator"));
    **out = (struct discriminator){.backend = backend, .settings = *settings};
    list_tensors(*out);
    const enum status status = create_memory(*out);
    if (status != STATUS_OK)
        discriminator_destroy(out);
    return status;
}

void discriminator_destroy(struct discriminator **out) {
    struct discriminator *d = *out;
    if (d == NULL)
        return;
    backend_release(d->backend, &d->gradient);
    memory_release(&d->host);
    memory_release(&d->values);
    memory_release(&d->sums);
    memory_release(&d->pooled);
    memory_release(&d->normal);
    memory_release(&d->y);
    memory_release(&d->d_y);
    memory_release(out);
}

const struct parameter_set *discriminator_parameters(const struct discriminator *d) {
    return &d->set;
}

enum status discriminator_initialise(const struct discriminator *d, uint64_t seed, float *master) {
    const int64_t n = d->set.elements;
    float *values;
    TRY(memory_new(&values, n, "a new discriminator"));
    for (int64_t i = 0; i < d->set.count; i++) {
        const struct parameter *p = &d->parameters[i];
        float *const to = values + place_of(d, (enum tensor)i);
        for (int64_t k = 0; k < p->rows * p->columns; k++)
            to[k] = !p->matrix
                        ? (i == NORM_WEIGHT ? 1.0f : 0.0f)
                        : (float)(INITIAL_DEVIATION * random_normal(seed, RANDOM_HEAD, (uint32_t)i,
                                                                    (uint32_t)((uint64_t)k >> 32),
                                                                    (uint32_t)k, 0));
    }
    const enum status status = d->backend->ops->upload(d->backend, master + d->settings.offset,
                                                       values, (size_t)n * sizeof *values);
    memory_release(&values);
    return status;
}

enum status discriminator_refresh(struct discriminator *d, const float *master) {
    const int64_t n = d->set.elements;
    TRY(d->backend->ops->download(d->backend, d->host, master + d->settings.offset,
                                  (size_t)n * sizeof *d->host));
    for (int64_t k = 0; k < n; k++)
        d->values[k] = (double)d->host[k];
    return STATUS_OK;
}

/* --- forward --- */

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += a[k] * b[k];
    return sum;
}

/* Rows of the states whose mean is x: [begin, end). */
struct rows {
    int64_t begin, end;
};

static struct rows pooled_rows(const struct discriminator *d,
                               const struct discriminator_sequence *s) {
    ASSERT(s->begin >= 0 && s->begin < s->end);
    return (struct rows){d->settings.pooling == POOLING_MEAN ? s->begin : s->end - 1, s->end};
}

/* Of a value that is read apart. */
static struct rows value_rows(const struct discriminator_sequence *s) {
    ASSERT(s->value_row >= 0);
    return (struct rows){s->value_row, s->value_row + 1};
}

static void pool(struct discriminator *d, const float *states, struct rows rows) {
    const int64_t C = d->settings.C;
    for (int64_t k = 0; k < C; k++)
        d->pooled[k] = 0;
    for (int64_t row = rows.begin; row < rows.end; row++)
        for (int64_t k = 0; k < C; k++)
            d->pooled[k] += (double)states[row * C + k];
    for (int64_t k = 0; k < C; k++)
        d->pooled[k] /= (double)(rows.end - rows.begin);
}

/* x of the rows to `normal` and y; returns 1 / √(var x + ε). */
static double normalise(struct discriminator *d, const float *states, struct rows rows) {
    const int64_t C = d->settings.C;
    const double *const w = d->values + place_of(d, NORM_WEIGHT), *const b = d->values +
                                                                             place_of(d, NORM_BIAS);
    double mean = 0, square = 0;
    pool(d, states, rows);
    for (int64_t k = 0; k < C; k++)
        mean += d->pooled[k];
    mean /= (double)C;
    for (int64_t k = 0; k < C; k++) {
        d->normal[k] = d->pooled[k] - mean;
        square += d->normal[k] * d->normal[k];
    }
    const double inverse = 1 / sqrt(square / (double)C + NORM_EPSILON);
    for (int64_t k = 0; k < C; k++) {
        d->normal[k] *= inverse;
        d->y[k] = w[k] * d->normal[k] + b[k];
    }
    return inverse;
}

/* How far the other class leads: the cross-entropy is log(1 + e^lead), which no size overflows. */
static double lead(const struct discriminator_sequence *s) {
    return s->logits[1 - s->label] - s->logits[s->label];
}

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

void discriminator_forward(struct discriminator *d, const float *states,
                           struct discriminator_sequence *sequences, int64_t count) {
    const int64_t C = d->settings.C;
    for (int64_t i = 0; i < count; i++) {
        struct discriminator_sequence *s = &sequences[i];
        ASSERT(s->label == 0 || s->label == 1);
        (void)normalise(d, states, pooled_rows(d, s));
        for (int c = 0; c < 2; c++)
            s->logits[c] = dot(d->values + place_of(d, WEIGHT) + c * C, d->y, C) +
                           d->values[place_of(d, BIAS) + c];
        const double x = lead(s);
        s->probability = sigmoid(s->logits[1] - s->logits[0]);
        s->cross_entropy = fmax(x, 0) + log1p(exp(-fabs(x)));
        if (d->settings.value && s->value_apart)
            (void)normalise(d, states, value_rows(s));
        s->value = d->settings.value ? dot(d->values + place_of(d, VALUE_WEIGHT), d->y, C) +
                                           d->values[place_of(d, VALUE_BIAS)]
                                     : 0;
    }
}

/* --- backward --- */

/* An output W y + b whose derivative is `slope`: to the sums of W and b, and to d_y. */
static void add_output(struct discriminator *d, int64_t weight, int64_t bias, double slope) {
    for (int64_t k = 0; k < d->settings.C; k++) {
        d->sums[weight + k] += slope * d->y[k];
        d->d_y[k] += slope * d->values[weight + k];
    }
    d->sums[bias] += slope;
}

/* The squared error of the value. */
static void add_value(struct discriminator *d, const struct discriminator_sequence *s) {
    add_output(d, place_of(d, VALUE_WEIGHT), place_of(d, VALUE_BIAS),
               2 * s->value_weight * (s->value - s->value_target));
}

/* d_y to the sums of the norm, and through it: with g = d_y ∘ w and x̂ = `normal`,
 * ∂ / ∂x = (g − mean g − x̂ mean(g x̂)) / √(var x + ε), which stays in d_y. */
static void norm_backward(struct discriminator *d, double inverse) {
    const int64_t C = d->settings.C, weight = place_of(d, NORM_WEIGHT),
                  bias = place_of(d, NORM_BIAS);
    double mean = 0, along = 0;
    for (int64_t k = 0; k < C; k++) {
        d->sums[weight + k] += d->d_y[k] * d->normal[k];
        d->sums[bias + k] += d->d_y[k];
        d->d_y[k] *= d->values[weight + k];
        mean += d->d_y[k];
        along += d->d_y[k] * d->normal[k];
    }
    for (int64_t k = 0; k < C; k++)
        d->d_y[k] = inverse * (d->d_y[k] - mean / (double)C - d->normal[k] * (along / (double)C));
}

static void clear_d_y(struct discriminator *d) {
    for (int64_t k = 0; k < d->settings.C; k++)
        d->d_y[k] = 0;
}

/* d_y of what was normalised from the rows, through the norm to these: sequences own different rows as
 * a rule; where two share one, their derivatives are added. */
static void rows_backward(struct discriminator *d, double inverse, struct rows rows,
                          float *d_states) {
    const int64_t C = d->settings.C;
    norm_backward(d, inverse);
    for (int64_t row = rows.begin; row < rows.end; row++)
        for (int64_t k = 0; k < C; k++)
            d_states[row * C + k] += (float)(d->d_y[k] / (double)(rows.end - rows.begin));
}

static void sequence_backward(struct discriminator *d, const float *states,
                              const struct discriminator_sequence *s, float *d_states) {
    const int64_t C = d->settings.C;
    const struct rows rows = pooled_rows(d, s);
    const double inverse = normalise(d, states, rows), slope = s->weight * sigmoid(lead(s));
    clear_d_y(d);
    for (int c = 0; c < 2; c++)
        add_output(d, place_of(d, WEIGHT) + c * C, place_of(d, BIAS) + c,
                   c == s->label ? -slope : slope);
    if (d->settings.value && !s->value_apart)
        add_value(d, s);
    rows_backward(d, inverse, rows, d_states);
    if (!d->settings.value || !s->value_apart)
        return;
    const double inverse_of_value = normalise(d, states, value_rows(s));
    clear_d_y(d);
    add_value(d, s);
    rows_backward(d, inverse_of_value, value_rows(s), d_states);
}

enum status discriminator_backward(struct discriminator *d, const float *states, int64_t rows,
                                   const struct discriminator_sequence *sequences, int64_t count,
                                   float *d_states, struct gradient_piece *piece) {
    const int64_t n = d->set.elements;
    memset(d_states, 0, (size_t)(rows * d->settings.C) * sizeof *d_states);
    memset(d->sums, 0, (size_t)n * sizeof *d->sums);
    for (int64_t i = 0; i < count; i++) {
        ASSERT(sequences[i].end <= rows);
        sequence_backward(d, states, &sequences[i], d_states);
    }
    for (int64_t k = 0; k < n; k++)
        d->host[k] = (float)d->sums[k];
    *piece = discriminator_gradient_piece(d);
    piece->values = d->gradient;
    return d->backend->ops->upload(d->backend, d->gradient, d->host, (size_t)n * sizeof *d->host);
}

struct gradient_piece discriminator_gradient_piece(const struct discriminator *d) {
    return (struct gradient_piece){.offset = d->settings.offset, .n = d->set.elements};
}
