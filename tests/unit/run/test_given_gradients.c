/* SPDX-License-Identifier: Apache-2.0
 *
 * What the update rules make of given gradients equals PyTorch's in every element: parameters and both
 * moments after the step, and where the step was repositioned to, for the cases of
 * tests/data/update/make_steps.py, on every backend. Among the gradients are ratios of exactly 1, -1
 * and 0, ratios beyond the clamps, and first gradients that are zero or nearly so.
 */
#include "run/rule.h"

#include "unit/run/scene.h"

#include "backends.h"
#include "base/memory.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "optim/clip.h"
#include "optim/optimizer.h"

#define DATA "tests/data/update"
enum { ELEMENTS = 140, GRADIENTS = 4, SLOTS = 3, STEPS_BEFORE = 3 };
static const struct vector_part parts[] = {
    {.offset = 0, .elements = 96, .decay = true},
    {.offset = 96, .elements = 9, .decay = false},
    {.offset = 105, .elements = 35, .decay = true},
};

static struct safetensors *stored;

/* A problem whose gradients are given, over the optimizer and the vectors of a backend. */
struct given {
    struct backend *backend;
    struct comm comm;
    struct vector_layout *layout;
    struct shard *shard;
    struct optimizer *optimizer;
    double learning_rate, max_grad_norm, norm, start_scale;
    float *master, *gradient, *slots[SLOTS];
    struct optimizer_saved saved;
    float repositioned[ELEMENTS]; /* parameters at the last gradient call */
};

static const float *read_stored(const char *name) {
    const struct safetensor *tensor = safetensors_find(stored, name);
    if (tensor == NULL || tensor->elements != ELEMENTS) {
        CHECK_FAILED("%s is not stored", name);
        exit(1);
    }
    return tensor->data;
}

static void put(struct given *g, float *to, const char *name) {
    CHECK_OK(g->backend->ops->upload(g->backend, to, read_stored(name), ELEMENTS * sizeof *to));
}

static void get(const struct given *g, const float *from, float *to) {
    CHECK_OK(g->backend->ops->download(g->backend, to, from, ELEMENTS * sizeof *to));
}

/* --- the interface of a rule --- */

static enum status gradient(void *context, int mini_batch, int pass, struct update_found *found) {
    struct given *g = context;
    char name[8];
    (void)mini_batch;
    snprintf(name, sizeof name, "g%d", pass);
    put(g, g->gradient, name);
    get(g, g->master, g->repositioned);
    TRY(shard_norm(g->shard, &g->comm, g->gradient, &g->norm));
    *found = (struct update_found){.finite = true, .norm = g->norm};
    return STATUS_OK;
}

static struct optimizer_step present_step(const struct given *g) {
    return (struct optimizer_step){.master = g->master,
                                   .gradient = g->gradient,
                                   .learning_rate = g->learning_rate,
                                   .gradient_scale = clip_scale(g->norm, g->max_grad_norm)};
}

static struct optimizer_kept slots_of(const struct given *g) {
    return (struct optimizer_kept){.parameters = g->slots[UPDATE_SLOT_PARAMETERS],
                                   .gradient = g->slots[UPDATE_SLOT_GRADIENT],
                                   .direction = g->slots[UPDATE_SLOT_DIRECTION]};
}

static enum status take_step(struct given *g, const struct optimizer_kept *kept) {
    const struct optimizer_step step = present_step(g);
    g->start_scale = step.gradient_scale;
    return optimizer_step_keeping(g->optimizer, &step, kept);
}

static enum status step(void *context) {
    return take_step(context, &(struct optimizer_kept){.parameters = NULL});
}

static enum status step_keeping(void *context) {
    const struct optimizer_kept kept = slots_of(context);
    return take_step(context, &kept);
}

static enum status extrapolate(void *context, const struct update_extrapolation *how,
                               struct extrapolation_sums *found) {
    struct given *g = context;
    struct optimizer_kept start = slots_of(g);
    if (!how->directions)
        start.direction = NULL;
    return optimizer_extrapolate(
        g->optimizer, &g->comm,
        &(struct optimizer_extrapolation){.step = present_step(g),
                                          .start = start,
                                          .start_scale = g->start_scale,
                                          .how = how->how,
                                          .activity = how->activity,
                                          .relative = how->relative,
                                          .leaves_state = how->leaves_state},
        found);
}

static float *present(struct given *g, enum update_vector vector) {
    return vector == UPDATE_PARAMETERS ? g->master : g->gradient;
}

static enum status keep(void *context, enum update_vector vector, int slot) {
    struct given *g = context;
    return backend_run(g->backend, copy, .x = present(g, vector), .out = g->slots[slot],
                       .n = ELEMENTS);
}

static enum status lerp(void *context, enum update_vector vector, int slot, double factor) {
    struct given *g = context;
    float *const x = present(g, vector);
    return backend_run(g->backend, lerp, .x = g->slots[slot], .y = x, .out = x, .n = ELEMENTS,
                       .factor = (float)factor);
}

static enum status dot(void *context, int slot, double *product) {
    struct given *g = context;
    return shard_dot(g->shard, &g->comm, g->slots[slot], g->gradient, product);
}

static enum status save(void *context) {
    struct given *g = context;
    return optimizer_save(g->optimizer, &g->saved);
}

static enum status take_back(void *context) {
    struct given *g = context;
    optimizer_take_back(g->optimizer, &g->saved);
    return STATUS_OK;
}

/* --- a case --- */

static void open_given(struct given *g, struct backend *backend, const struct settings *settings) {
    const struct settings_optimizer *optimizer = &settings->optimizer;
    *g = (struct given){.backend = backend,
                        .learning_rate = optimizer->learning_rate,
                        .max_grad_norm = optimizer->max_grad_norm};
    comm_self_open(&g->comm);
    CHECK_OK(vector_layout_create(&g->layout, backend, parts, sizeof parts / sizeof *parts));
    CHECK_OK(shard_create(&g->shard, g->layout, 0, 1));
    CHECK_OK(
        optimizer_create(&g->optimizer, backend, g->shard,
                         &(struct optimizer_settings){.beta1 = optimizer->beta1,
                                                      .beta2 = optimizer->beta2,
                                                      .epsilon = optimizer->epsilon,
                                                      .weight_decay = optimizer->weight_decay}));
    float **const vectors[] = {&g->master,   &g->gradient,      &g->slots[0],        &g->slots[1],
                               &g->slots[2], &g->saved.exp_avg, &g->saved.exp_avg_sq};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        CHECK_OK(backend_new(backend, vectors[i], ELEMENTS, "vector"));
    g->optimizer->steps = STEPS_BEFORE;
    put(g, g->master, "start");
    put(g, g->optimizer->exp_avg, "exp_avg");
    put(g, g->optimizer->exp_avg_sq, "exp_avg_sq");
}

static void close_given(struct given *g) {
    for (int i = 0; i < SLOTS; i++)
        backend_release(g->backend, &g->slots[i]);
    backend_release(g->backend, &g->master);
    backend_release(g->backend, &g->gradient);
    backend_release(g->backend, &g->saved.exp_avg);
    backend_release(g->backend, &g->saved.exp_avg_sq);
    optimizer_destroy(&g->optimizer);
    shard_destroy(&g->shard);
    vector_layout_destroy(&g->layout);
    comm_close(&g->comm);
}

/* Each element within 1e-6, of `size` or of itself where it is larger. */
static void check_elements(const char *name, const char *what, const float *have, double size) {
    char path[80];
    snprintf(path, sizeof path, "%s/%s", name, what);
    const float *want = read_stored(path);
    for (int i = 0; i < ELEMENTS; i++) {
        const double expected = (double)want[i];
        if (!(fabs((double)have[i] - expected) <= 1e-6 * fmax(size, fabs(expected)))) {
            CHECK_FAILED("%s: element %d is %.9g, expected %.9g", path, i, (double)have[i],
                         expected);
            return;
        }
    }
}

static void check_given(const struct given *g, const char *name, const json_t *expected) {
    float values[ELEMENTS];
    check_elements(name, "repositioned", g->repositioned, 1);
    get(g, g->master, values);
    check_elements(name, "parameters", values, 1);
    get(g, g->optimizer->exp_avg, values);
    check_elements(name, "exp_avg", values, 0.1);
    get(g, g->optimizer->exp_avg_sq, values);
    check_elements(name, "exp_avg_sq", values, 0.01);
    CHECK_EQ(g->optimizer->steps, json_integer_value(json_object_get(expected, "optimizer_steps")));
}

static void test_case(struct backend *backend, const char *name, const json_t *expected) {
    struct settings settings;
    struct given g;
    struct shutoff shutoff = {.count = 0};
    struct update_report report;
    CHECK_OK(scene_settings(&settings, json_string_value(json_object_get(expected, "settings"))));
    open_given(&g, backend, &settings);
    const struct update_settings how = rule_settings(&settings);
    const struct update_problem problem = {.context = &g,
                                           .mini_batches = 1,
                                           .gradient = gradient,
                                           .step = step,
                                           .keep = keep,
                                           .lerp = lerp,
                                           .dot = dot,
                                           .save = save,
                                           .take_back = take_back,
                                           .step_keeping = step_keeping,
                                           .extrapolate = extrapolate};
    CHECK_OK(update_find(settings_word(&settings, "update.rule"))
                 ->run(&how, &problem, &shutoff, &report));
    check_given(&g, name, expected);
    close_given(&g);
    settings_release(&settings);
}

int main(void) {
    json_t *all;
    const char *name;
    const json_t *expected;
    folder_make();
    CHECK_OK(safetensors_open(&stored, DATA "/elements.safetensors"));
    CHECK_OK(json_read_file(DATA "/steps.json", 1 << 20, &all));
    for (const char *const *b = backends_list(); *b != NULL; b++) {
        struct backend backend;
        CHECK_OK(backend_open(&backend, *b, 1));
        json_object_foreach(json_object_get(all, "elements"), name, expected) {
            test_case(&backend, name, expected);
        }
        backend_close(&backend);
    }
    json_decref(all);
    safetensors_close(&stored);
    folder_remove();
    return CHECK_END();
}
