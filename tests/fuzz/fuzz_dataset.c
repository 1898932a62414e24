/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"
#include "fuzz/fuzz.h"

static enum status count_tokens(void *context, const struct dataset_item *item, int64_t *tokens) {
    (void)context;
    *tokens = (int64_t)(item->prompt_length + item->reference_length);
    return STATUS_OK;
}

/* The first line is `where`, what follows are the rows; skipped where bad, and not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    char where[512] = "";
    if (end == NULL || (size_t)(end - data) >= sizeof where)
        return 0;
    memcpy(where, data, (size_t)(end - data));
    fuzz_write("rows.jsonl", end + 1, size - (size_t)(end - data) - 1);
    for (int skip = 0; skip < 2; skip++) {
        struct dataset dataset;
        const struct dataset_source source = {.path = folder_file("rows.jsonl"),
                                              .prompt = "question",
                                              .answer = "answer",
                                              .where = where,
                                              .answer_after = skip == 0 ? "####" : NULL,
                                              .skip_bad = skip == 1,
                                              .count_tokens = count_tokens};
        const enum status status = dataset_open(&dataset, &source);
        for (int64_t i = 0; status == STATUS_OK && i < dataset.count; i++)
            if (strlen(dataset_item(&dataset, i).prompt) > dataset_item(&dataset, i).prompt_length)
                abort();
        if (status == STATUS_OK)
            dataset_close(&dataset);
        (void)fuzz_end(status, 0);
    }
    return 0;
}
