/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"
#include "text/chat.h"

static enum status use(const struct chat_style *style) {
    const struct chat_message messages[] = {{.role = "user", .content = {"a b", 3}},
                                            {.role = "assistant", .content = {"c", 1}}};
    struct strbuf out = STRBUF_EMPTY;
    enum status status = chat_render(style, messages, 2, true, true, "26 Jul 2024", &out);
    if (status == STATUS_OK)
        status = chat_render_answer(style, (struct utf8_span){"d", 1}, true, &out);
    (void)chat_turn_end(style);
    strbuf_release(&out);
    return status;
}

/* tokenizer_config.json, whose chat template is recognised or refused. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct chat_style style;
    fuzz_write("tokenizer_config.json", data, size);
    enum status status = chat_resolve(CHAT_AUTO, fuzz_folder(), &style);
    if (status == STATUS_OK) {
        status = use(&style);
        chat_release(&style);
    }
    return fuzz_end(status, 0);
}
