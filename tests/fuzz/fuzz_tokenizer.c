/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"
#include "text/tokenizer.h"

static const char text[] = "Hello w\xc3\xb6rld, 12345 it's\n\n  <|im_start|>\xff\xf0\x9f\x98\x80 x";

static enum status use(struct tokenizer *tokenizer) {
    struct token_list ids = {.ids = NULL};
    struct strbuf out = STRBUF_EMPTY;
    enum status status = tokenizer_encode(tokenizer, text, sizeof text - 1, true, &ids);
    for (int64_t i = 0; status == STATUS_OK && i < ids.count; i++)
        if (ids.ids[i] < 0 || ids.ids[i] >= tokenizer_size(tokenizer))
            abort();
    if (status == STATUS_OK)
        status = tokenizer_decode(tokenizer, ids.ids, ids.count, false, &out);
    memory_release(&ids.ids);
    strbuf_release(&out);
    return status;
}

/* tokenizer.json, and a text there and back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tokenizer *tokenizer = NULL;
    fuzz_write("tokenizer.json", data, size);
    enum status status = tokenizer_open(&tokenizer, fuzz_folder());
    if (status == STATUS_OK)
        status = use(tokenizer);
    tokenizer_destroy(&tokenizer);
    return fuzz_end(status, 0);
}
