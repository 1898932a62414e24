/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"
#include "fuzz/fuzz.h"
#include "text/chat.h"

enum { TURNS_MAX = 64 };

static const enum chat_form forms[] = {CHAT_CHATML, CHAT_QWEN3, CHAT_LLAMA3};

/* Every form writes the conversation or refuses it, with all assistants' places inside the text. */
static enum status render(const struct conversation *conversation) {
    struct chat_message messages[TURNS_MAX];
    struct chat_place places[TURNS_MAX] = {{.begin = 0}};
    struct strbuf out = STRBUF_EMPTY;
    const int64_t count = conversation->count < TURNS_MAX ? conversation->count : TURNS_MAX;
    for (int64_t i = 0; i < count; i++)
        messages[i] = conversation_message(conversation, i);
    enum status status = STATUS_OK;
    for (size_t f = 0; f < sizeof forms / sizeof *forms && status == STATUS_OK; f++) {
        struct chat_style style;
        TRY_ELSE(status, done, chat_resolve(forms[f], fuzz_folder(), &style));
        strbuf_clear(&out);
        status =
            chat_render_places(&style, messages, count, f % 2 == 0, "26 Jul 2024", &out, places);
        for (int64_t i = 0; i < count && status == STATUS_OK; i++)
            if (places[i].begin > places[i].end || places[i].end > out.length)
                abort();
        chat_release(&style);
    }
done:
    strbuf_release(&out);
    return status;
}

/* Rows with messages. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_write("rows.jsonl", data, size);
    for (int skip = 0; skip < 2; skip++) {
        struct dataset dataset;
        const struct dataset_source source = {
            .path = folder_file("rows.jsonl"), .messages = "messages", .skip_bad = skip == 1};
        enum status status = dataset_open(&dataset, &source);
        const bool opened = status == STATUS_OK;
        for (int64_t i = 0; opened && i < dataset.count && status == STATUS_OK; i++) {
            const struct conversation conversation = dataset_item(&dataset, i).conversation;
            if (conversation.count < 1 ||
                conversation_before_answer(&conversation) > conversation.count)
                abort();
            status = render(&conversation);
        }
        if (opened)
            dataset_close(&dataset);
        (void)fuzz_end(status, 0);
    }
    return 0;
}
