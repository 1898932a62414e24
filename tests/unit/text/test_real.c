/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts of GSM8K and MATH-500 under Qwen2's own vocabulary, and under that of the model
 * directory named by GRADUS_REAL_MODEL (SmolLM2), have the ids of `tokenizers`.
 */
#include "cases.h"

#define SHARED "../shared/data/"

struct texts {
    struct cases_digest *digest;
    const char *fields[2];
};

static enum status add_row(void *context, int64_t row, json_t *value) {
    struct texts *texts = context;
    (void)row;
    for (int i = 0; i < 2; i++) {
        const char *text;
        TRY(json_get_string(value, "row", texts->fields[i], "", &text));
        cases_digest_add(texts->digest, text, strlen(text));
    }
    return STATUS_OK;
}

static void check_file(struct tokenizer *tokenizer, const char *path, const char *first,
                       const char *second, const json_t *want) {
    struct cases_digest digest = cases_digest_begin(tokenizer);
    struct texts texts = {.digest = &digest, .fields = {first, second}};
    CHECK_OK(json_lines_read(path, add_row, &texts));
    cases_digest_end(&digest, path, want);
}

static void check_tokenizer(const char *directory, const char *name, const json_t *stored) {
    const json_t *want = json_object_get(stored, name);
    struct tokenizer *tokenizer = cases_open(directory);
    check_file(tokenizer, SHARED "gsm8k/test.jsonl", "question", "answer",
               json_object_get(want, "gsm8k"));
    check_file(tokenizer, SHARED "math500/test.jsonl", "problem", "solution",
               json_object_get(want, "math500"));
    cases_unicode(tokenizer, name, want);
    tokenizer_destroy(&tokenizer);
}

int main(void) {
    FILE *there = fopen(SHARED "gsm8k/test.jsonl", "rb");
    const char *model = getenv("GRADUS_REAL_MODEL");
    if (there == NULL)
        CHECK_SKIP("there is no " SHARED "gsm8k/test.jsonl");
    fclose(there);
    json_t *stored = cases_load("real.json");
    check_tokenizer(SHARED "tokenizer_qwen2", "qwen2", stored);
    if (model != NULL)
        check_tokenizer(model, "smollm2", stored);
    else
        printf("GRADUS_REAL_MODEL is not set: SmolLM2's vocabulary was left out\n");
    json_decref(stored);
    return CHECK_END();
}
