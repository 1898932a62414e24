/* SPDX-License-Identifier: Apache-2.0 */
#include "config/settings.h"
#include "fuzz/fuzz.h"

/* Takes out what stands behind # outside texts: where a value came from. */
static void strip_comments(struct strbuf *text) {
    bool inside = false, comment = false;
    size_t to = 0;
    for (size_t i = 0; i < text->length; i++) {
        const char c = text->text[i];
        comment = (comment || (c == '#' && !inside)) && c != '\n';
        if (!comment)
            text->text[to++] = c;
        if (inside && c == '\\')
            text->text[to++] = text->text[++i];
        else if (c == '"' && !comment)
            inside = !inside;
    }
    text->length = to;
}

/* What is read is written and read again, with the same result. */
static void check_dump(const struct settings *settings) {
    struct strbuf first = STRBUF_EMPTY, second = STRBUF_EMPTY;
    struct settings again;
    enum status status = settings_dump(settings, &first);
    if (status == STATUS_OK)
        status = settings_read_text("./settings.cfg", strbuf_text(&first), first.length, NULL, 0,
                                    SETTINGS_FOR_TRAINING, &again);
    if (status == STATUS_OK) {
        status = settings_dump(&again, &second);
        settings_release(&again);
    }
    strip_comments(&first);
    strip_comments(&second);
    if (status != STATUS_OK || first.length != second.length ||
        memcmp(first.text, second.text, first.length) != 0) {
        fprintf(stderr, "read again: %s\n%.*s\n---\n%.*s\n", status_sentence(), (int)first.length,
                first.text, (int)second.length, second.text);
        abort();
    }
    strbuf_release(&first);
    strbuf_release(&second);
}

/* An input file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct strbuf text = STRBUF_EMPTY;
    struct settings settings;
    enum status status = strbuf_append(&text, (const char *)data, size);
    if (status == STATUS_OK)
        status = settings_read_text("./input.cfg", strbuf_text(&text), text.length, NULL, 0,
                                    SETTINGS_FOR_TRAINING, &settings);
    if (status == STATUS_OK) {
        check_dump(&settings);
        settings_release(&settings);
    }
    strbuf_release(&text);
    return fuzz_end(status, 0);
}
