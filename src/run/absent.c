/* SPDX-License-Identifier: Apache-2.0 */
#include "run/absent.h"

#include <stdio.h>
#include <unistd.h>

/* A name that is too long to be looked up is not taken for absent: opening it says so. */
static bool is_absent(const char *directory, const char *name) {
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length < (int)sizeof path && access(path, F_OK) != 0;
}

static bool lacks_weights(const char *directory) {
    return is_absent(directory, "model.safetensors") &&
           is_absent(directory, "model.safetensors.index.json");
}

struct absent absent_find(const struct settings *settings) {
    const char *const model = settings->model.path, *const features = settings->mauve.features;
    struct absent absent = {.weights = lacks_weights(model),
                            .tokenizer = is_absent(model, "tokenizer.json"),
                            .features =
                                features != NULL &&
                                (lacks_weights(features) || is_absent(features, "tokenizer.json"))};
    for (int64_t i = 0; i < settings->data.train_count; i++)
        absent.data = absent.data || access(settings->data.train[i].path, F_OK) != 0;
    for (int64_t i = 0; settings->eval.every > 0 && i < settings->eval.sets_count; i++)
        absent.data = absent.data || access(settings->eval.sets[i].path, F_OK) != 0;
    for (int64_t i = 0; i < settings->data.corpus_count; i++)
        absent.data = absent.data || access(settings->data.corpus[i].path, F_OK) != 0;
    return absent;
}

bool absent_rows(const struct absent *absent) {
    return absent->tokenizer || absent->data;
}
