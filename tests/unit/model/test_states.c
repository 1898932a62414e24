/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of a loss over hidden states: PyTorch's, with the same bits whether layers are computed again, and never of
 * another forward.
 */
#include "backends.h"
#include "check.h"
#include "unit/model/tiny.h"

enum { SEQUENCES = 4, C_MAX = 64, LONGEST = 16 };

/* The four sequences of make_expected.py, each with the state behind its last token. */
static void make_batch(struct batch *batch, int64_t V) {
    static const int lengths[] = {5, 1, 9};
    int32_t ids[LONGEST];
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "answer%d", i);
        tiny_tokens("prompt", V, ids, 7);
        tiny_tokens(name, V, ids + 7, lengths[i]);
        CHECK_OK(batch_append_end(batch, ids, 7 + lengths[i]));
    }
    tiny_tokens("text", V, ids, 6);
    CHECK_OK(batch_append_end(batch, ids, 6));
}

static void compute(const char *name, const char *device, bool recompute,
                    struct tiny_gradient *gradient, struct backend *backend, struct model **model) {
    struct batch batch = BATCH_EMPTY;
    float states[SEQUENCES * C_MAX], d_states[SEQUENCES * C_MAX], scores[SEQUENCES];
    CHECK_OK(backend_open(backend, device, 1));
    CHECK_OK(tiny_open(model, backend, name, recompute, NULL));
    make_batch(&batch, model_hparams(*model)->V);
    tiny_hashed("d_states", d_states, SEQUENCES * model_hparams(*model)->C);
    CHECK_OK(tiny_gradient_create(gradient, *model, backend));
    const struct gradient_sink sink = tiny_gradient_sink(gradient);
    CHECK_OK(model_states(*model, &batch, true, states));
    CHECK_STATUS(model_backward(*model, &batch, 1.0f, d_states, NULL, &sink), STATUS_DEFECT,
                 "not kept");
    /* The second one finds what the first has left in its memory. */
    for (int time = 0; time < 2; time++) {
        gradient->calls = 0;
        memset(gradient->values, 0, (size_t)gradient->elements * sizeof *gradient->values);
        CHECK_OK(model_states_backward(*model, &batch, d_states, &sink));
    }
    CHECK_OK(model_states(*model, &batch, false, states));
    CHECK_STATUS(model_states_backward(*model, &batch, d_states, &sink), STATUS_DEFECT, "not kept");
    CHECK_OK(model_forward(*model, &batch, 1.0f, true, scores, scores));
    CHECK_STATUS(model_states_backward(*model, &batch, d_states, &sink), STATUS_DEFECT, "not kept");
    batch_release(&batch);
}

static void close_all(struct tiny_gradient *gradient, struct backend *backend,
                      struct model **model) {
    tiny_gradient_release(gradient);
    tiny_close(model);
    backend_close(backend);
}

static void check_parameter(const struct parameter *p, const float *values, double want_norm,
                            double want_product) {
    double norm, product;
    tiny_project(p, values, &norm, &product);
    const double tolerance = 1e-5 * want_norm + 1e-6;
    if (!(fabs(norm - want_norm) <= tolerance && fabs(product - want_product) <= tolerance))
        CHECK_FAILED("gradient of %s: norm %.9g, product %.9g, expected %.9g, %.9g", p->name, norm,
                     product, want_norm, want_product);
}

static void check_peer(const char *model_name, const struct parameter_set *set,
                       const float *gradient) {
    char row[512], model[32], name[128];
    double norm, product;
    int64_t found = 0;
    FILE *file = fopen(TINY_DATA "/states_gradient.tsv", "r");
    CHECK(file != NULL);
    while (file != NULL && fgets(row, sizeof row, file) != NULL) {
        CHECK_EQ(sscanf(row, "%31s %127s %lf %lf", model, name, &norm, &product), 4);
        if (strcmp(model, model_name) != 0)
            continue;
        for (int64_t i = 0; i < set->count; i++)
            if (strcmp(set->items[i].name, name) == 0) {
                check_parameter(&set->items[i], gradient + set->items[i].offset, norm, product);
                found++;
            }
    }
    CHECK_EQ(found, set->count);
    if (file != NULL)
        fclose(file);
}

static void check_model(const char *name, const char *device) {
    struct tiny_gradient kept, again;
    struct backend backends[2];
    struct model *models[2] = {NULL, NULL};
    compute(name, device, false, &kept, &backends[0], &models[0]);
    compute(name, device, true, &again, &backends[1], &models[1]);
    check_peer(name, model_trained(models[0]), kept.values);
    CHECK_EQ(kept.calls, model_gradient_piece_count(models[0]));
    CHECK(memcmp(kept.values, again.values, (size_t)kept.elements * sizeof(float)) == 0);
    close_all(&kept, &backends[0], &models[0]);
    close_all(&again, &backends[1], &models[1]);
}

int main(void) {
    for (int i = 0; i < TINY_COUNT; i++)
        for (const char *const *device = backends_list(); *device != NULL; device++)
            check_model(tiny_names[i], *device);
    return CHECK_END();
}
