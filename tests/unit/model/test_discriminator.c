/* SPDX-License-Identifier: Apache-2.0
 *
 * The head that tells real from written: what it says, its loss and gradient against PyTorch
 * (tests/data/model/make_discriminator.py) and against central differences of the same formulas in
 * double; the values that it starts with; and that alone it learns to tell two distributions as
 * well as they can be told, and two equal ones not at all. The value may be read at other rows.
 */
#include "model/discriminator.h"

#include <stdbool.h>

#include "backends.h"
#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "unit/model/tiny.h"

enum { ROWS = 9, C = 6, COUNT = 4, BEFORE = 5, HEAD = 2 * C + 2 * C + 2 + C + 1 };

static const struct discriminator_sequence sequences[COUNT] = {
    {.begin = 0, .end = 3, .label = 1, .weight = 0.3, .value_weight = 0.5, .value_target = 1},
    {.begin = 3, .end = 4, .label = 0, .weight = 0.7, .value_weight = 0.25, .value_target = 0},
    {.begin = 4, .end = 6, .label = 0, .weight = 1.25, .value_weight = 2, .value_target = 1},
    {.begin = 6, .end = 9, .label = 1, .weight = 0.1, .value_weight = 1, .value_target = 0},
};
static const int64_t apart_rows[COUNT] = {0, 2, 4,
                                          7}; /* 2 is also where the first one's class is read */

/* What is read, and where. */
enum kind { LAST = POOLING_LAST, MEAN = POOLING_MEAN, APART, KINDS };
static enum pooling pooling_of(enum kind kind) {
    return kind == MEAN ? POOLING_MEAN : POOLING_LAST;
}

/* --- the same formulas, in double --- */

struct numbers {
    bool mean, value, apart;
    double states[ROWS * C], head[HEAD];
};

/* The layer norm of the mean of the rows [first, end). */
static void plain_norm(const struct numbers *n, int64_t first, int64_t end, double *y) {
    const double *const w = n->head, *const b = w + C;
    double x[C], mean = 0, square = 0;
    for (int k = 0; k < C; k++) {
        x[k] = 0;
        for (int64_t row = first; row < end; row++)
            x[k] += n->states[row * C + k] / (double)(end - first);
        mean += x[k] / C;
        square += x[k] * x[k] / C;
    }
    for (int k = 0; k < C; k++)
        y[k] = w[k] * (x[k] - mean) / sqrt(square - mean * mean + 1e-5) + b[k];
}

static double plain_loss(const struct numbers *n, const struct discriminator_sequence *s) {
    const double *const W = n->head + 2 * C, *const c = W + 2 * C, *const V = c + 2,
                        *const v = V + C;
    const int64_t first = n->mean ? s->begin : s->end - 1, apart = apart_rows[s - sequences];
    double y[C], at_value[C], logits[2] = {c[0], c[1]}, value = n->value ? v[0] : 0;
    plain_norm(n, first, s->end, y);
    plain_norm(n, n->apart ? apart : first, n->apart ? apart + 1 : s->end, at_value);
    for (int k = 0; k < C; k++) {
        logits[0] += W[k] * y[k];
        logits[1] += W[C + k] * y[k];
        value += n->value ? V[k] * at_value[k] : 0;
    }
    return s->weight * (log(exp(logits[0]) + exp(logits[1])) - logits[s->label]) +
           (n->value ? s->value_weight * pow(value - s->value_target, 2) : 0);
}

static double plain_sum(const struct numbers *n) {
    double sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += plain_loss(n, &sequences[i]);
    return sum;
}

static double difference(struct numbers *n, double *x) {
    const double step = 1e-5, before = *x;
    *x = before + step;
    const double above = plain_sum(n);
    *x = before - step;
    const double below = plain_sum(n);
    *x = before;
    return (above - below) / (2 * step);
}

/* --- the head --- */

struct work {
    enum kind kind;
    struct backend backend;
    struct discriminator *head;
    float *master, *gradient; /* (BEFORE + HEAD): backend memory, host */
    float states[ROWS * C], d_states[ROWS * C];
    struct discriminator_sequence found[COUNT];
};

/* Tensors are hashed(name) of make_discriminator.py, in a vector that begins with others'. */
static void fill(struct work *w) {
    const struct parameter_set *set = discriminator_parameters(w->head);
    CHECK_EQ(set->items[0].offset, BEFORE);
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        char name[192];
        float *const to = w->gradient + p->offset;
        snprintf(name, sizeof name, "discriminator %s", p->name + strlen("discriminator."));
        tiny_hashed(name, to, p->rows * p->columns);
        for (int64_t k = 0; k < p->rows * p->columns; k++)
            to[k] += i == 0 ? 1.0f : 0.0f;
    }
    CHECK_OK(w->backend.ops->upload(&w->backend, w->master, w->gradient,
                                    (BEFORE + HEAD) * sizeof *w->master));
    CHECK_OK(discriminator_refresh(w->head, w->master));
    tiny_hashed("discriminator states", w->states, ROWS * C);
    for (int k = 0; k < ROWS * C; k++)
        w->states[k] *= 4.0f;
}

static void open_work(struct work *w, const char *device, enum kind kind, bool value) {
    *w = (struct work){.kind = kind};
    const struct discriminator_settings settings = {
        .C = C, .pooling = pooling_of(kind), .value = value, .offset = BEFORE};
    CHECK_OK(backend_open(&w->backend, device, 1));
    CHECK_OK(discriminator_create(&w->head, &w->backend, &settings));
    CHECK_OK(backend_new(&w->backend, &w->master, BEFORE + HEAD, "master"));
    CHECK_OK(memory_new(&w->gradient, BEFORE + HEAD, "gradient"));
    fill(w);
}

/* The second backward finds what the first has left. */
static void compute(struct work *w) {
    struct gradient_piece piece;
    const struct gradient_piece place = discriminator_gradient_piece(w->head);
    memcpy(w->found, sequences, sizeof sequences);
    for (int i = 0; i < COUNT; i++) {
        w->found[i].value_apart = w->kind == APART;
        w->found[i].value_row = apart_rows[i];
    }
    discriminator_forward(w->head, w->states, w->found, COUNT);
    for (int time = 0; time < 2; time++)
        CHECK_OK(
            discriminator_backward(w->head, w->states, ROWS, w->found, COUNT, w->d_states, &piece));
    CHECK_EQ(piece.offset, BEFORE);
    CHECK_EQ(piece.n, discriminator_parameters(w->head)->elements);
    CHECK_EQ(piece.columns, 0);
    CHECK(place.offset == piece.offset && place.n == piece.n && place.values == NULL);
    CHECK_OK(w->backend.ops->download(&w->backend, w->gradient + BEFORE, piece.values,
                                      (size_t)piece.n * sizeof *w->gradient));
}

static void close_work(struct work *w) {
    backend_release(&w->backend, &w->master);
    memory_release(&w->gradient);
    discriminator_destroy(&w->head);
    backend_close(&w->backend);
}

static double loss_of(const struct discriminator_sequence *found, bool value) {
    double sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += found[i].weight * found[i].cross_entropy +
               (value ? found[i].value_weight * pow(found[i].value - found[i].value_target, 2) : 0);
    return sum;
}

/* --- against PyTorch --- */

static void check_row(const struct work *w, const char *name, const double *want, int n) {
    const struct parameter_set *set = discriminator_parameters(w->head);
    for (int k = 0; k < n; k++) {
        if (strcmp(name, "logits") == 0)
            CHECK_NEAR(w->found[k / 2].logits[k % 2], want[k], 1e-9);
        else if (strcmp(name, "value") == 0)
            CHECK_NEAR(w->found[k].value, want[k], 1e-9);
        else if (strcmp(name, "loss") == 0)
            CHECK_NEAR(loss_of(w->found, true), want[k], 1e-9);
        else if (strcmp(name, "states") == 0)
            CHECK_NEAR(w->d_states[k], want[k], 2e-7);
        for (int64_t i = 0; i < set->count; i++)
            if (strcmp(set->items[i].name + strlen("discriminator."), name) == 0) {
                CHECK_EQ(n, set->items[i].rows * set->items[i].columns);
                CHECK_NEAR(w->gradient[set->items[i].offset + k], want[k], 1e-6);
            }
    }
}

static void test_peer(const char *device, enum kind kind) {
    static const char *const names[] = {[LAST] = "last", [MEAN] = "mean", [APART] = "apart"};
    struct work w;
    char row[4096];
    int found = 0;
    FILE *file = fopen(TINY_DATA "/discriminator.tsv", "r");
    CHECK(file != NULL);
    open_work(&w, device, kind, true);
    compute(&w);
    while (file != NULL && fgets(row, sizeof row, file) != NULL) {
        double want[ROWS * C];
        int n = 0;
        const char *which = strtok(row, "\t"), *name = strtok(NULL, "\t");
        for (const char *text; (text = strtok(NULL, "\t\n")) != NULL && n < ROWS * C; n++)
            want[n] = strtod(text, NULL);
        if (strcmp(which, names[kind]) != 0)
            continue;
        check_row(&w, name, want, n);
        found++;
    }
    CHECK_EQ(found, 10);
    if (file != NULL)
        fclose(file);
    close_work(&w);
}

/* --- against differences --- */

static void test_differences(enum kind kind, bool value) {
    struct work w;
    struct numbers n = {.mean = kind == MEAN, .value = value, .apart = kind == APART};
    open_work(&w, "cpu", kind, value);
    const int64_t elements = discriminator_parameters(w.head)->elements;
    CHECK_EQ(elements, value ? HEAD : HEAD - C - 1);
    for (int k = 0; k < ROWS * C; k++)
        n.states[k] = w.states[k];
    for (int64_t k = 0; k < elements; k++)
        n.head[k] = w.gradient[BEFORE + k];
    compute(&w);
    CHECK_NEAR(loss_of(w.found, value), plain_sum(&n), 1e-12);
    for (int k = 0; k < ROWS * C; k++)
        CHECK_NEAR(w.d_states[k], difference(&n, &n.states[k]), 2e-7);
    for (int64_t k = 0; k < elements; k++)
        CHECK_NEAR(w.gradient[BEFORE + k], difference(&n, &n.head[k]), 1e-6);
    close_work(&w);
}

/* --- sizes that would overflow --- */

/* States as large as fp32 holds, with a head that turns them into logits of ±800: the loss is the
 * distance, and the sure and right sequence has none. */
static void test_sure(void) {
    struct work w;
    struct gradient_piece piece;
    open_work(&w, "cpu", LAST, false);
    for (int k = 0; k < HEAD - C - 1; k++)
        w.gradient[BEFORE + k] = 0.0f;
    w.gradient[BEFORE + 4 * C] = -800.0f; /* the bias of class 0, then of class 1 */
    w.gradient[BEFORE + 4 * C + 1] = 800.0f;
    CHECK_OK(w.backend.ops->upload(&w.backend, w.master, w.gradient,
                                   (BEFORE + HEAD) * sizeof *w.master));
    CHECK_OK(discriminator_refresh(w.head, w.master));
    for (int k = 0; k < ROWS * C; k++)
        w.states[k] = k % 2 == 0 ? 3e38f : -3e38f;
    memcpy(w.found, sequences, sizeof sequences);
    discriminator_forward(w.head, w.states, w.found, COUNT);
    CHECK_NEAR(w.found[0].probability, 1, 0);
    CHECK_NEAR(w.found[0].cross_entropy, 0, 0);
    CHECK_NEAR(w.found[1].cross_entropy, 1600, 1e-9);
    CHECK_OK(discriminator_backward(w.head, w.states, ROWS, w.found, COUNT, w.d_states, &piece));
    CHECK_NEAR(piece.values[4 * C + 1], 0.7 + 1.25, 1e-6);
    close_work(&w);
}

/* --- the start --- */

static void test_start(void) {
    enum { WIDE = 4000 };
    const struct discriminator_settings settings = {.C = WIDE, .value = true};
    struct backend backend;
    struct discriminator *head;
    float *master, *other;
    double sum = 0, square = 0;
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_OK(discriminator_create(&head, &backend, &settings));
    const struct parameter *p = discriminator_parameters(head)->items;
    const int64_t n = discriminator_parameters(head)->elements;
    CHECK_OK(backend_new(&backend, &master, n, "master"));
    CHECK_OK(backend_new(&backend, &other, n, "master"));
    CHECK_OK(discriminator_initialise(head, 7, master));
    CHECK_OK(discriminator_initialise(head, 8, other));
    CHECK_TEXT(p[2].name, "discriminator.linear.weight");
    CHECK_TEXT(p[5].name, "discriminator.value.bias");
    for (int64_t k = 0; k < WIDE; k++) {
        CHECK(master[k] == 1.0f && master[WIDE + k] == 0.0f);
        CHECK(master[p[2].offset + k] != master[p[4].offset + k]);
    }
    for (int64_t k = 0; k < 2 * WIDE; k++) {
        sum += master[p[2].offset + k];
        square += pow(master[p[2].offset + k], 2);
    }
    CHECK_NEAR(sum / (2 * WIDE), 0, 4 * 0.02 / sqrt(2 * WIDE));
    CHECK_NEAR(sqrt(square / (2 * WIDE)), 0.02, 4 * 0.02 / sqrt(4 * WIDE));
    CHECK(master[p[3].offset] == 0.0f && master[p[3].offset + 1] == 0.0f);
    CHECK(master[p[5].offset] == 0.0f);
    CHECK(memcmp(master + p[2].offset, other + p[2].offset, WIDE * sizeof *master) != 0);
    backend_release(&backend, &master);
    backend_release(&backend, &other);
    discriminator_destroy(&head);
    backend_close(&backend);
}

/* --- learning --- */

enum { WIDTH = 16, BATCH = 32, STEPS = 400, HELD = 4000 };

/* States of two normal distributions, apart by 2 × `half` along a direction without mean; every
 * other one is real. */
static void draw(float *states, struct discriminator_sequence *s, int n, uint32_t draw_of,
                 double half) {
    for (int i = 0; i < n; i++) {
        s[i] = (struct discriminator_sequence){
            .begin = i, .end = i + 1, .label = i % 2, .weight = 1.0 / n};
        for (int k = 0; k < WIDTH; k++)
            states[i * WIDTH + k] =
                (float)(random_normal(5, RANDOM_TEST, draw_of, (uint32_t)i, (uint32_t)k, 0) +
                        (i % 2 == k % 2 ? half : -half));
    }
}

/* Share of new states that the head tells right after plain gradient descent. */
static double accuracy_after(int steps, double half) {
    const struct discriminator_settings settings = {.C = WIDTH};
    struct backend backend;
    struct discriminator *head;
    struct discriminator_sequence *s;
    struct gradient_piece piece;
    float *master, *states, *d_states;
    double right = 0;
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_OK(discriminator_create(&head, &backend, &settings));
    CHECK_OK(backend_new(&backend, &master, discriminator_parameters(head)->elements, "master"));
    CHECK_OK(memory_new(&states, HELD * WIDTH, "states"));
    CHECK_OK(memory_new(&d_states, HELD * WIDTH, "states"));
    CHECK_OK(memory_new(&s, HELD, "sequences"));
    CHECK_OK(discriminator_initialise(head, 1, master));
    for (int step = 0; step < steps; step++) {
        CHECK_OK(discriminator_refresh(head, master));
        draw(states, s, BATCH, (uint32_t)step + 1, half);
        discriminator_forward(head, states, s, BATCH);
        CHECK_OK(discriminator_backward(head, states, BATCH, s, BATCH, d_states, &piece));
        for (int64_t k = 0; k < piece.n; k++)
            master[k] -= 0.1f * piece.values[k];
    }
    CHECK_OK(discriminator_refresh(head, master));
    draw(states, s, HELD, 0, half);
    discriminator_forward(head, states, s, HELD);
    for (int i = 0; i < HELD; i++)
        right += (s[i].probability > 0.5) == (s[i].label == 1);
    memory_release(&s);
    memory_release(&states);
    memory_release(&d_states);
    backend_release(&backend, &master);
    discriminator_destroy(&head);
    backend_close(&backend);
    return right / HELD;
}

/* Nobody does better than Φ(√C half) = 0.841; four deviations of a share of 4000 are 0.03. */
static void test_learns(void) {
    CHECK_NEAR(accuracy_after(STEPS, 0.25), 0.825, 0.025);
    CHECK_NEAR(accuracy_after(STEPS, 0.0), 0.5, 0.035);
}

int main(void) {
    for (const char *const *device = backends_list(); *device != NULL; device++)
        for (int kind = LAST; kind < KINDS; kind++)
            test_peer(*device, (enum kind)kind);
    for (int value = 0; value < 2; value++)
        for (int kind = LAST; kind < KINDS; kind++)
            test_differences((enum kind)kind, value == 1);
    test_sure();
    test_start();
    test_learns();
    return CHECK_END();
}
