/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of a distillation from hidden states, with its gradient to the student's states and head,
 * against PyTorch's autograd over full logits (tests/data/model/make_distill.py); whatever the number
 * of rows whose logits exist at once; with heads in bf16; and nothing at all where both are equal.
 */
#include <stdbool.h>

#include "backends.h"
#include "base/memory.h"
#include "check.h"
#include "file/safetensors.h"
#include "model/distill_head.h"

enum { R = 5, C = 6, V = 40, MOST = V * C };

static const struct {
    const char *name;
    struct distill_settings settings;
    int32_t top_k;
} cases[] = {
    {"forward_kl", {.divergence = DIVERGENCE_FORWARD_KL, .temperature = 1}, 0},
    {"reverse_kl", {.divergence = DIVERGENCE_REVERSE_KL, .temperature = 1}, 0},
    {"jsd", {.divergence = DIVERGENCE_JSD, .beta = 0.5f, .temperature = 1}, 0},
    {"forward_kl_hot", {.divergence = DIVERGENCE_FORWARD_KL, .temperature = 1.2f}, 0},
    {"jsd_cold", {.divergence = DIVERGENCE_JSD, .beta = 0.3f, .temperature = 0.7f}, 0},
    {"forward_kl_entries",
     {.divergence = DIVERGENCE_FORWARD_KL, .clip = 0.05f, .temperature = 1.1f},
     0},
    {"reverse_kl_entries",
     {.divergence = DIVERGENCE_REVERSE_KL, .clip = 0.02f, .temperature = 1.1f},
     0},
    {"jsd_entries",
     {.divergence = DIVERGENCE_JSD, .beta = 0.5f, .clip = 0.004f, .temperature = 1.1f},
     0},
    {"jsd_tokens",
     {.divergence = DIVERGENCE_JSD,
      .beta = 0.5f,
      .clip = 0.1f,
      .clip_tokens = true,
      .temperature = 1.1f},
     0},
    {"forward_kl_top", {.divergence = DIVERGENCE_FORWARD_KL, .temperature = 1.2f}, 7},
    {"reverse_kl_top", {.divergence = DIVERGENCE_REVERSE_KL, .temperature = 1.2f}, 7},
    {"jsd_top_entries",
     {.divergence = DIVERGENCE_JSD, .beta = 0.5f, .clip = 0.01f, .temperature = 1.2f},
     12},
    {"sampled", {.sampled = true, .temperature = 1.2f}, 0},
};

/* --- what is given --- */

struct given {
    struct safetensors *files;
    struct backend backend;
    struct distill_head head;
    void *student, *teacher;
    int32_t *targets;
    float *dx, *dw, *logits, *logits_teacher;
    void *d_logits;
    float weight[R];
    struct distill_memory memory;
};

static void read_floats(const struct given *g, const char *name, float *out, int64_t n) {
    const struct safetensor *tensor = safetensors_find(g->files, name);
    if (tensor == NULL || tensor->elements != n) {
        CHECK_FAILED("%s: not there with %lld elements", name, (long long)n);
        return;
    }
    memcpy(out, tensor->data, (size_t)n * sizeof *out);
}

/* The nearest number with 8 bits, which a product of bf16 takes as it is. */
static void round_floats(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint16_t bits = dtype_bf16_bits(x[i]);
        const uint32_t wide = (uint32_t)bits << 16;
        memcpy(&x[i], &wide, sizeof wide);
    }
}

static void open_head(struct given *g, const char *name, enum dtype dtype, bool rounded,
                      struct weight *weight) {
    float values[V * C], *source = NULL;
    struct backend *b = &g->backend;
    read_floats(g, name, values, V * C);
    if (rounded)
        round_floats(values, V * C);
    CHECK_OK(backend_new(b, &source, V * C, "a head"));
    CHECK_OK(b->ops->upload(b, source, values, sizeof values));
    CHECK_OK(weight_create(b, weight, V, C, dtype, "a head"));
    CHECK_OK(backend_run(b, pack, .source = source, .weight = *weight));
    backend_release(b, &source);
}

static void open_rows(struct given *g, const char *name, bool rounded, void **rows) {
    float values[R * C];
    uint16_t halves[R * C];
    struct backend *b = &g->backend;
    const bool single = g->head.dtype == DTYPE_F32;
    read_floats(g, name, values, R * C);
    if (rounded)
        round_floats(values, R * C);
    for (int i = 0; i < R * C; i++)
        halves[i] = dtype_bf16_bits(values[i]);
    CHECK_OK(backend_allocate(b, rows, (size_t)R * C, dtype_bytes(g->head.dtype), "rows"));
    CHECK_OK(b->ops->upload(b, *rows, single ? (void *)values : halves,
                            single ? sizeof values : sizeof halves));
}

static void open_targets(struct given *g) {
    struct backend *b = &g->backend;
    const struct safetensor *targets = safetensors_find(g->files, "targets");
    CHECK_OK(backend_new(b, &g->targets, R, "targets"));
    CHECK_OK(b->ops->upload(b, g->targets, targets->data, R * sizeof *g->targets));
    read_floats(g, "weight", g->weight, R);
    g->head.targets = g->targets;
}

static void given_open(struct given *g, const char *backend, enum dtype dtype, bool rounded) {
    *g = (struct given){.files = NULL};
    CHECK_OK(safetensors_open(&g->files, "tests/data/model/distill/distill.safetensors"));
    CHECK_OK(backend_open(&g->backend, backend, 1));
    struct backend *b = &g->backend;
    g->head = (struct distill_head){
        .backend = b, .R = R, .dtype = b->ops->activations(b, dtype), .at_once = 2};
    open_head(g, "student_head", dtype, rounded, &g->head.student_head);
    open_head(g, "teacher_head", dtype, rounded, &g->head.teacher_head);
    open_rows(g, "student", rounded, &g->student);
    open_rows(g, "teacher", rounded, &g->teacher);
    open_targets(g);
    g->head.student = g->student;
    g->head.teacher = g->teacher;
    CHECK_OK(backend_new(b, &g->dx, R * C, "dx"));
    CHECK_OK(backend_new(b, &g->dw, V * C, "dw"));
    CHECK_OK(backend_new(b, &g->logits, R * V, "logits"));
    CHECK_OK(backend_new(b, &g->logits_teacher, R * V, "logits"));
    CHECK_OK(backend_allocate(b, &g->d_logits, R * V, dtype_bytes(g->head.dtype), "d_logits"));
}

static void given_close(struct given *g) {
    struct backend *b = &g->backend;
    distill_memory_release(b, &g->memory);
    weight_release(b, &g->head.student_head);
    weight_release(b, &g->head.teacher_head);
    backend_release(b, &g->student);
    backend_release(b, &g->teacher);
    backend_release(b, &g->targets);
    backend_release(b, &g->dx);
    backend_release(b, &g->dw);
    backend_release(b, &g->logits);
    backend_release(b, &g->logits_teacher);
    backend_release(b, &g->d_logits);
    backend_close(b);
    safetensors_close(&g->files);
}

/* --- a run --- */

struct numbers {
    float loss[R], divergence[R], dx[R * C], dw[V * C];
    float clipped[R];
};

static void get(struct given *g, void *to, const void *from, size_t bytes) {
    CHECK_OK(g->backend.ops->download(&g->backend, to, from, bytes));
}

static void run(struct given *g, struct numbers *out) {
    int32_t clipped[R];
    CHECK_OK(distill_head_forward(&g->head, &g->memory, g->weight, g->dx));
    get(g, out->loss, g->memory.scores.loss, sizeof out->loss);
    get(g, out->divergence, g->memory.scores.divergence, sizeof out->divergence);
    get(g, clipped, g->memory.scores.clipped, sizeof clipped);
    get(g, out->dx, g->dx, sizeof out->dx);
    for (int r = 0; r < R; r++)
        out->clipped[r] = (float)clipped[r];
}

/* What stands of a later block begins that many entries on. */
static void check_further_block(struct given *g, const struct distill_found *first) {
    struct distill_found found;
    if (!g->memory.stands)
        return;
    CHECK_OK(distill_head_block(
        &g->head, &g->memory, &(struct distill_block_gradient){.begin = 2, .columns = 1}, &found));
    CHECK_EQ((const char *)found.d_logits - (const char *)first->d_logits,
             2 * (int64_t)dtype_bytes(g->head.dtype));
    CHECK_EQ(found.ld, V);
}

/* Over the whole vocabulary in one block; dx once more from there. */
static void run_head(struct given *g, struct numbers *out) {
    struct backend *b = &g->backend;
    const enum dtype dtype = g->head.dtype;
    struct distill_found found;
    CHECK_OK(
        distill_head_block(&g->head, &g->memory,
                           &(struct distill_block_gradient){.columns = V,
                                                            .ld = V,
                                                            .logits = g->logits,
                                                            .logits_teacher = g->logits_teacher,
                                                            .out = g->d_logits},
                           &found));
    CHECK((found.d_logits == g->d_logits) == (distill_head_rows(&g->head) < R));
    check_further_block(g, &found);
    CHECK_OK(backend_run(b, gemm_dx, .dy = found.d_logits, .weight = g->head.student_head,
                         .dx = g->dx, .dy_dtype = dtype, .dx_dtype = DTYPE_F32, .M = R,
                         .ldy = found.ld, .ldx = C));
    CHECK_OK(backend_run(b, gemm_dw, .dy = found.d_logits, .x = g->student, .dw = g->dw,
                         .dy_dtype = dtype, .x_dtype = dtype, .M = R, .N = V, .K = C,
                         .ldy = found.ld, .ldx = C));
    get(g, out->dx, g->dx, sizeof out->dx);
    get(g, out->dw, g->dw, sizeof out->dw);
}

/* |have − want| ≤ tolerance · (largest of want + |want|). */
static void compare(const struct given *g, const char *name, const char *what, const float *have,
                    const float *want, int64_t n, double tolerance) {
    double largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)have[i] - (double)want[i]) <= tolerance * largest)) {
            CHECK_FAILED("%s, %s: %s %lld is %.9g, expected %.9g", g->backend.ops->name, name, what,
                         (long long)i, (double)have[i], (double)want[i]);
            return;
        }
}

static void compare_stored(const struct given *g, int i, const char *what, const float *have,
                           int64_t n) {
    char name[64];
    float want[MOST];
    snprintf(name, sizeof name, "%s.%s", cases[i].name, what);
    read_floats(g, name, want, n);
    compare(g, cases[i].name, what, have, want, n, 5e-6);
}

static void set_case(struct given *g, int i) {
    g->head.settings = cases[i].settings;
    g->head.top_k = cases[i].top_k;
}

static void test_stored(const char *backend) {
    struct given g;
    given_open(&g, backend, DTYPE_F32, false);
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        struct numbers have, whole, standing;
        set_case(&g, i);
        g.head.at_once = 2;
        run(&g, &have);
        compare_stored(&g, i, "loss", have.loss, R);
        compare_stored(&g, i, "divergence", have.divergence, R);
        compare_stored(&g, i, "clipped", have.clipped, R);
        compare_stored(&g, i, "dx", have.dx, R * C);
        run_head(&g, &whole);
        compare_stored(&g, i, "dx", whole.dx, R * C);
        compare_stored(&g, i, "dw", whole.dw, V * C);
        g.head.at_once = 0;
        run(&g, &whole);
        CHECK(memcmp(have.loss, whole.loss, sizeof have.loss) == 0);
        CHECK(memcmp(have.divergence, whole.divergence, sizeof have.divergence) == 0);
        run_head(&g, &standing);
        compare_stored(&g, i, "dx", standing.dx, R * C);
        compare_stored(&g, i, "dw", standing.dw, V * C);
    }
    given_close(&g);
}

/* Heads in bf16 beside heads in fp32 of the same numbers. */
static void test_bf16(const char *backend) {
    struct given half, single;
    given_open(&half, backend, DTYPE_BF16, true);
    given_open(&single, backend, DTYPE_F32, true);
    const double rounding = half.head.dtype == DTYPE_F32 ? 1e-5 : 1e-2;
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        struct numbers have, want;
        set_case(&half, i);
        set_case(&single, i);
        run(&half, &have);
        run(&single, &want);
        compare(&half, cases[i].name, "loss in bf16", have.loss, want.loss, R, 1e-5);
        compare(&half, cases[i].name, "dx in bf16", have.dx, want.dx, R * C, rounding);
    }
    given_close(&half);
    given_close(&single);
}

/* One model for both: no loss, no gradient. */
static void test_equal(const char *backend) {
    static const struct numbers none;
    struct given g;
    given_open(&g, backend, DTYPE_F32, false);
    const struct weight teacher_head = g.head.teacher_head;
    g.head.teacher_head = g.head.student_head;
    g.head.teacher = g.head.student;
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        struct numbers have;
        int32_t agreement[R];
        set_case(&g, i);
        run(&g, &have);
        run_head(&g, &have);
        compare(&g, cases[i].name, "loss of equals", have.loss, none.loss, R, 0);
        compare(&g, cases[i].name, "divergence of equals", have.divergence, none.divergence, R, 0);
        compare(&g, cases[i].name, "dx of equals", have.dx, none.dx, R * C, 0);
        compare(&g, cases[i].name, "dw of equals", have.dw, none.dw, V * C, 0);
        get(&g, agreement, g.memory.scores.agreement, sizeof agreement);
        for (int r = 0; r < R; r++)
            CHECK_EQ(agreement[r], 1);
    }
    g.head.teacher_head = teacher_head;
    given_close(&g);
}

int main(void) {
    for (const char *const *backend = backends_list(); *backend != NULL; backend++) {
        test_stored(*backend);
        test_bf16(*backend);
        test_equal(*backend);
    }
    return CHECK_END();
}
