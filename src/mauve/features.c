/* SPDX-License-Identifier: Apache-2.0 */
#include "mauve/features.h"

#include "base/memory.h"

void feature_texts_release(struct feature_texts *texts) {
    memory_release(&texts->ids.ids);
    memory_release(&texts->ends);
    *texts = (struct feature_texts){.count = 0};
}

enum status feature_texts_append(struct feature_texts *texts, struct tokenizer *tokenizer,
                                 const char *text, size_t length, int64_t most) {
    const int64_t begin = texts->ids.count;
    if (texts->count == texts->capacity) {
        TRY(memory_grow(&texts->ends, 2 * texts->capacity + 64, "ends of texts"));
        texts->capacity = 2 * texts->capacity + 64;
    }
    TRY(tokenizer_encode(tokenizer, text, length, true, &texts->ids));
    const int64_t n = texts->ids.count - begin;
    if (length == 0 || n == 0) {
        texts->ids.count = begin;
        texts->empty++;
        return STATUS_OK;
    }
    if (n > most) {
        texts->ids.count = begin + most;
        texts->cut++;
    }
    texts->longest = n < most ? (n > texts->longest ? n : texts->longest) : most;
    texts->ends[texts->count++] = texts->ids.count;
    return STATUS_OK;
}

static int64_t begin_of(const struct feature_texts *texts, int64_t i) {
    return i > 0 ? texts->ends[i - 1] : 0;
}

enum status features_of_texts(struct model *model, const struct feature_texts *texts, int64_t first,
                              int64_t last, int64_t tokens_per_pass, const struct pulse *pulse,
                              float *features) {
    const int64_t C = model_hparams(model)->C;
    struct batch batch = BATCH_EMPTY;
    enum status status = STATUS_OK;
    for (int64_t at = first, begin = first; status == STATUS_OK && begin < last; begin = at) {
        batch_clear(&batch);
        do {
            const int64_t start = begin_of(texts, at);
            status = batch_append_end(&batch, texts->ids.ids + start, texts->ends[at] - start);
            at++;
        } while (status == STATUS_OK && at < last &&
                 texts->ends[at] - begin_of(texts, begin) <= tokens_per_pass);
        if (status == STATUS_OK)
            status = pulse_beat(pulse);
        if (status == STATUS_OK)
            status = model_states(model, &batch, false, features + (begin - first) * C);
    }
    batch_release(&batch);
    return status;
}

enum status features_compute(struct comm *comm, struct model *model,
                             const struct feature_texts *texts, int64_t tokens_per_pass,
                             float **features) {
    const int64_t C = model_hparams(model)->C;
    const int64_t first = texts->count * comm->rank / comm->size;
    const int64_t last = texts->count * (comm->rank + 1) / comm->size;
    float *mine = NULL;
    size_t *sizes = NULL;
    *features = NULL;
    enum status status = memory_new(&mine, (last - first) * C, "features of texts");
    if (status == STATUS_OK)
        status = features_of_texts(model, texts, first, last, tokens_per_pass, NULL, mine);
    status = comm_agree(comm, status);
    if (status == STATUS_OK)
        status = comm_gather(comm, mine, (size_t)((last - first) * C) * sizeof *mine, 0,
                             (void **)features, &sizes);
    memory_release(&mine);
    memory_release(&sizes);
    return status;
}
