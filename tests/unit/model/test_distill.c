/* SPDX-License-Identifier: Apache-2.0
 *
 * A student and its teacher through one packed batch, or the teacher first with weights of its own,
 * give the same bits: of every number and of the gradient. The student's numbers are those of a
 * forward of its own; the teacher's are those of a model without the adapter. Equal prompts and
 * weights give divergence 0 and gradient 0. Along itself the gradient is the slope of the loss.
 */
#include "base/memory.h"
#include "check.h"
#include "model/distill.h"
#include "unit/model/tiny.h"

#include <math.h>
#include <string.h>

enum { GROUPS = 2, ANSWERS = 3, TARGETS_MAX = 64 };

struct numbers {
    float logprob[TARGETS_MAX], entropy[TARGETS_MAX], logprob_teacher[TARGETS_MAX],
        entropy_teacher[TARGETS_MAX], divergence[TARGETS_MAX], loss[TARGETS_MAX];
    int32_t clipped[TARGETS_MAX], agreement[TARGETS_MAX];
};

struct world {
    struct backend backend;
    struct hparams hparams;
    struct weights *weights, *copy; /* of equal values */
    struct adapter *adapter;        /* or NULL */
    struct model *student, *beside,
        *before;           /* the last two teach: with the student's weights, with the copy */
    float *full, *factors; /* masters, backend memory */
    struct batch batch, teacher;
    struct distill_pair pair;
    float weight[TARGETS_MAX];
};

static void fill_batch(struct batch *batch, const char *kind, int64_t prompt, int64_t V) {
    int32_t tokens[32], segment;
    char name[32];
    for (int g = 0; g < GROUPS; g++) {
        snprintf(name, sizeof name, "%s %d", kind, g);
        tiny_tokens(name, V, tokens, prompt + g);
        CHECK_OK(batch_append_prompt(batch, tokens, prompt + g, &segment));
        for (int a = 0; a < ANSWERS; a++) {
            snprintf(name, sizeof name, "answer %d %d", g, a);
            tiny_tokens(name, V, tokens, 2 + 3 * a);
            CHECK_OK(batch_append_answer(batch, segment, tokens, 2 + 3 * a));
        }
    }
}

static void fill_weights(struct world *w) {
    const struct parameter_set *all = weights_parameters(w->weights);
    CHECK_OK(backend_new(&w->backend, &w->full, all->elements, "weights"));
    tiny_fill(all->items, all->count, w->full);
    CHECK_OK(weights_refresh(w->weights, w->full));
    CHECK_OK(weights_refresh(w->copy, w->full));
    if (w->adapter == NULL)
        return;
    const struct parameter_set *set = adapter_parameters(w->adapter);
    CHECK_OK(backend_new(&w->backend, &w->factors, set->elements, "factors"));
    for (int64_t i = 0; i < set->count; i++)
        tiny_hashed(set->items[i].name, w->factors + set->items[i].offset,
                    set->items[i].rows * set->items[i].columns);
    CHECK_OK(adapter_refresh(w->adapter, w->factors));
}

static void open_world(struct world *w, const char *name, const char *backend, bool adapted,
                       bool recompute) {
    const struct adapter_settings how = {
        .rank = 2, .alpha = 4, .targets = {true, true, true, true}};
    char folder[200];
    *w = (struct world){.batch = BATCH_EMPTY, .teacher = BATCH_EMPTY};
    snprintf(folder, sizeof folder, TINY_DATA "/%s", name);
    CHECK_OK(backend_open(&w->backend, backend, 1));
    CHECK_OK(hparams_read(folder, &w->hparams));
    CHECK_OK(weights_create(&w->weights, &w->backend, &w->hparams, DTYPE_F32));
    CHECK_OK(weights_create(&w->copy, &w->backend, &w->hparams, DTYPE_F32));
    if (adapted)
        CHECK_OK(adapter_create(&w->adapter, &w->backend, &w->hparams, DTYPE_F32, &how));
    struct model_settings settings = {.max_positions = w->hparams.max_positions,
                                      .recompute = recompute};
    CHECK_OK(model_create(&w->student, w->weights, w->adapter, &settings));
    settings.shares = w->student;
    CHECK_OK(model_create(&w->beside, w->weights, NULL, &settings));
    CHECK_OK(model_create(&w->before, w->copy, NULL, &settings));
    fill_weights(w);
    fill_batch(&w->batch, "prompt", 3, w->hparams.V);
    fill_batch(&w->teacher, "solution", 11, w->hparams.V);
    w->pair = (struct distill_pair){
        .student = w->student,
        .batch = &w->batch,
        .teacher_batch = &w->teacher,
        .settings = {.divergence = DIVERGENCE_JSD, .beta = 0.3f, .temperature = 1.2f}};
    for (int i = 0; i < TARGETS_MAX; i++)
        w->weight[i] = 0.1f + 0.01f * (float)i;
}

static void close_world(struct world *w) {
    model_destroy(&w->before);
    model_destroy(&w->beside);
    model_destroy(&w->student);
    adapter_destroy(&w->adapter);
    weights_destroy(&w->copy);
    weights_destroy(&w->weights);
    backend_release(&w->backend, &w->full);
    backend_release(&w->backend, &w->factors);
    batch_release(&w->batch);
    batch_release(&w->teacher);
    backend_close(&w->backend);
}

static void forward(struct world *w, struct model *teacher, struct numbers *out) {
    memset(out, 0, sizeof *out);
    w->pair.teacher = teacher;
    CHECK_OK(distill_forward(&w->pair, w->weight,
                             &(struct distill_numbers){.logprob = out->logprob,
                                                       .entropy = out->entropy,
                                                       .logprob_teacher = out->logprob_teacher,
                                                       .entropy_teacher = out->entropy_teacher,
                                                       .divergence = out->divergence,
                                                       .loss = out->loss,
                                                       .clipped = out->clipped,
                                                       .agreement = out->agreement}));
}

static void backward(struct world *w, struct tiny_gradient *gradient) {
    CHECK_OK(tiny_gradient_create(gradient, w->student, &w->backend));
    const struct gradient_sink sink = tiny_gradient_sink(gradient);
    CHECK_OK(distill_backward(&w->pair, &sink));
}

static double loss_of(const struct world *w, const struct numbers *numbers) {
    double sum = 0;
    for (int64_t i = 0; i < w->batch.target_count; i++)
        sum += (double)w->weight[i] * (double)numbers->loss[i];
    return sum;
}

/* --- both ways --- */

static void check_student(struct world *w, const struct numbers *numbers) {
    float logprob[TARGETS_MAX], entropy[TARGETS_MAX];
    const size_t bytes = (size_t)w->batch.target_count * sizeof(float);
    CHECK_OK(model_forward(w->student, &w->batch, 1.2f, false, logprob, entropy));
    CHECK(memcmp(logprob, numbers->logprob, bytes) == 0);
    CHECK(memcmp(entropy, numbers->entropy, bytes) == 0);
    CHECK_OK(model_forward(w->before, &w->teacher, 1.2f, false, logprob, entropy));
    CHECK(memcmp(logprob, numbers->logprob_teacher, bytes) == 0);
    CHECK(memcmp(entropy, numbers->entropy_teacher, bytes) == 0);
}

static void test_both(const char *name, const char *backend, bool adapted, bool recompute,
                      int32_t top_k) {
    struct world w;
    struct numbers together, apart;
    struct tiny_gradient one, other;
    open_world(&w, name, backend, adapted, recompute);
    w.pair.top_k = top_k;
    forward(&w, w.beside, &together);
    backward(&w, &one);
    forward(&w, w.before, &apart);
    backward(&w, &other);
    if (memcmp(&together, &apart, sizeof together) != 0)
        CHECK_FAILED("%s, adapted %d, recompute %d: numbers differ", name, adapted, recompute);
    if (memcmp(one.values, other.values, (size_t)one.elements * sizeof(float)) != 0)
        CHECK_FAILED("%s, adapted %d, recompute %d: gradients differ", name, adapted, recompute);
    CHECK(loss_of(&w, &together) > 1e-3);
    check_student(&w, &together);
    tiny_gradient_release(&one);
    tiny_gradient_release(&other);
    close_world(&w);
}

/* --- nothing to learn --- */

static void test_equal(const char *name) {
    struct world w;
    struct numbers numbers;
    struct tiny_gradient gradient;
    open_world(&w, name, "cpu", false, false);
    w.pair.teacher_batch = &w.batch;
    forward(&w, w.before, &numbers);
    backward(&w, &gradient);
    for (int64_t i = 0; i < w.batch.target_count; i++) {
        CHECK_NEAR(numbers.divergence[i], 0, 0);
        CHECK_EQ(numbers.agreement[i], 1);
    }
    for (int64_t i = 0; i < gradient.elements; i++)
        if (gradient.values[i] != 0.0f) {
            CHECK_FAILED("element %lld of the gradient is %g", (long long)i,
                         (double)gradient.values[i]);
            break;
        }
    tiny_gradient_release(&gradient);
    close_world(&w);
}

/* --- the slope --- */

/* The loss with the trained values moved by `step` along the gradient. */
static double loss_at(struct world *w, const float *start, const struct tiny_gradient *along,
                      double step) {
    struct numbers numbers;
    float *master = w->adapter != NULL ? w->factors : w->full;
    for (int64_t i = 0; i < along->elements; i++)
        master[i] = start[i] + (float)(step * (double)along->values[i]);
    CHECK_OK(model_refresh(w->student, master));
    forward(w, w->before, &numbers);
    return loss_of(w, &numbers);
}

static void test_slope(const char *name, bool adapted, enum divergence divergence, float clip) {
    struct world w;
    struct numbers numbers;
    struct tiny_gradient gradient;
    float *start;
    double square = 0;
    open_world(&w, name, "cpu", adapted, false);
    w.pair.settings.divergence = divergence;
    w.pair.settings.clip = clip;
    forward(&w, w.before, &numbers);
    backward(&w, &gradient);
    CHECK_OK(memory_new(&start, gradient.elements, "start"));
    memcpy(start, adapted ? w.factors : w.full, (size_t)gradient.elements * sizeof *start);
    for (int64_t i = 0; i < gradient.elements; i++)
        square += (double)gradient.values[i] * (double)gradient.values[i];
    const double step = 2e-3 / sqrt(square);
    const double slope =
        (loss_at(&w, start, &gradient, step) - loss_at(&w, start, &gradient, -step)) / (2 * step);
    CHECK_NEAR(slope / square, 1.0, 0.01);
    memory_release(&start);
    tiny_gradient_release(&gradient);
    close_world(&w);
}

int main(void) {
    for (int i = 0; i < TINY_COUNT; i++) {
        test_both(tiny_names[i], "cpu", false, false, 0);
        test_both(tiny_names[i], "cpu", true, true, 5);
        test_equal(tiny_names[i]);
    }
    test_both(tiny_names[0], "check", false, true, 0);
    test_both(tiny_names[1], "check", true, false, 0);
    test_slope(tiny_names[0], false, DIVERGENCE_FORWARD_KL, 0);
    test_slope(tiny_names[1], true, DIVERGENCE_REVERSE_KL, 0);
    test_slope(tiny_names[2], false, DIVERGENCE_JSD, 0.002f);
    return CHECK_END();
}
