/* SPDX-License-Identifier: Apache-2.0
 *
 * Features of texts: the hidden states that transformers gives, and the same bits whoever computes a text beside which others.
 */
#include "mauve/features.h"

#include <stdlib.h>

#include "backends.h"
#include "base/memory.h"
#include "check.h"
#include "unit/model/tiny.h"

enum { SEQUENCES = 4, C_MAX = 64, LONGEST = 16 };

/* The four sequences of make_expected.py, as texts. */
static void make_texts(struct feature_texts *texts, int64_t V) {
    static const char *const answers[] = {"answer0", "answer1", "answer2"};
    static const int lengths[] = {5, 1, 9};
    int32_t ids[SEQUENCES][LONGEST];
    int64_t n[SEQUENCES] = {12, 8, 16, 6};
    for (int i = 0; i < 3; i++) {
        tiny_tokens("prompt", V, ids[i], 7);
        tiny_tokens(answers[i], V, ids[i] + 7, lengths[i]);
    }
    tiny_tokens("text", V, ids[3], 6);
    CHECK_OK(memory_new(&texts->ends, SEQUENCES, "ends of texts"));
    for (int i = 0; i < SEQUENCES; i++) {
        CHECK_OK(token_list_append(&texts->ids, ids[i], n[i]));
        texts->ends[texts->count++] = texts->ids.count;
    }
    texts->longest = LONGEST;
}

/* want (SEQUENCES, C_MAX): the lines of a model. */
static int read_states(const char *model, double want[SEQUENCES][C_MAX]) {
    static char row[4096];
    int count = 0;
    FILE *file = fopen(TINY_DATA "/states.tsv", "r");
    CHECK(file != NULL);
    while (file != NULL && fgets(row, sizeof row, file) != NULL) {
        char name[32], *at = row, *end;
        int sequence, length;
        if (sscanf(row, "%31s %d%n", name, &sequence, &length) != 2 || strcmp(name, model) != 0)
            continue;
        at += length;
        for (int c = 0; c < C_MAX; c++, at = end)
            want[sequence][c] = strtod(at, &end);
        count++;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

/* On one rank of several, each in its turn: what rank 0 would gather. */
static void compute_apart(struct model *model, const struct feature_texts *texts, int ranks,
                          int64_t C, float *out) {
    struct comm comm;
    comm_self_open(&comm);
    for (int rank = 0; rank < ranks; rank++) {
        const int64_t first = texts->count * rank / ranks, last = texts->count * (rank + 1) / ranks;
        struct feature_texts part = {.count = last - first};
        float *features = NULL;
        CHECK_OK(memory_new(&part.ends, part.count, "ends of texts"));
        const int64_t begin = first > 0 ? texts->ends[first - 1] : 0;
        for (int64_t i = first; i < last; i++)
            part.ends[i - first] = texts->ends[i] - begin;
        CHECK_OK(token_list_append(&part.ids, texts->ids.ids + begin, texts->ids.count - begin));
        CHECK_OK(features_compute(&comm, model, &part, 4096, &features));
        memcpy(out + first * C, features, (size_t)(part.count * C) * sizeof *out);
        memory_release(&features);
        feature_texts_release(&part);
    }
    comm_close(&comm);
}

static void check_model(const char *name, const char *device) {
    struct backend backend;
    struct model *model = NULL;
    struct feature_texts texts = {0};
    struct comm comm;
    double want[SEQUENCES][C_MAX];
    float *features = NULL, *again = NULL, apart[SEQUENCES * C_MAX];
    comm_self_open(&comm);
    CHECK_OK(backend_open(&backend, device, 1));
    CHECK_OK(tiny_open(&model, &backend, name, false, NULL));
    const int64_t C = model_hparams(model)->C;
    make_texts(&texts, model_hparams(model)->V);
    CHECK_EQ(read_states(name, want), SEQUENCES);
    CHECK_OK(features_compute(&comm, model, &texts, 4096, &features));
    for (int64_t i = 0; i < SEQUENCES; i++)
        for (int64_t c = 0; c < C; c++)
            CHECK_NEAR(features[i * C + c], want[i][c], 2e-5);
    const size_t bytes = (size_t)(SEQUENCES * C) * sizeof(float);
    for (int64_t tokens = 1; tokens <= 32; tokens *= 2) { /* alone, and some together */
        CHECK_OK(features_compute(&comm, model, &texts, tokens, &again));
        CHECK(memcmp(features, again, bytes) == 0);
        memory_release(&again);
    }
    for (int ranks = 2; ranks <= 6; ranks++) { /* 5 and 6: some have nothing to do */
        compute_apart(model, &texts, ranks, C, apart);
        CHECK(memcmp(features, apart, bytes) == 0);
    }
    memory_release(&features);
    feature_texts_release(&texts);
    tiny_close(&model);
    backend_close(&backend);
    comm_close(&comm);
}

/* A state that is not finite is a sentence. */
static void check_not_finite(void) {
    struct backend backend;
    struct model *model = NULL;
    struct batch batch = BATCH_EMPTY;
    float *master = NULL, states[C_MAX];
    const float broken = NAN;
    const int32_t token = 5;
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_OK(tiny_open(&model, &backend, "qwen2", false, &master));
    CHECK_OK(backend.ops->upload(&backend, master, &broken, sizeof broken));
    CHECK_OK(model_refresh(model, master));
    CHECK_OK(batch_append_end(&batch, (const int32_t[]){0}, 1));
    CHECK_STATUS(model_states(model, &batch, false, states), STATUS_NUMERIC, "embed_tokens");
    batch_clear(&batch);
    CHECK_OK(batch_append_end(&batch, &token, 1));
    CHECK_OK(model_states(model, &batch, false, states));
    batch_release(&batch);
    backend_release(&backend, &master);
    tiny_close(&model);
    backend_close(&backend);
}

int main(void) {
    for (int i = 0; i < TINY_COUNT; i++)
        for (const char *const *device = backends_list(); *device != NULL; device++)
            check_model(tiny_names[i], *device);
    check_not_finite();
    return CHECK_END();
}
