/* SPDX-License-Identifier: Apache-2.0 */
#include "config/settings.h"
#include "fuzz/fuzz.h"

/* An input file; what is read is written and read again, with the same result. */
static enum status check_dump(const struct settings *settings) {
    struct strbuf first = STRBUF_EMPTY, second = STRBUF_EMPTY;
    struct settings again;
    enum status status = settings_dump(settings, &first);
    if (status == STATUS_OK)
        status = settings_read_text("a/settings.cfg", strbuf_text(&first), first.length, NULL, 0,
                                    SETTINGS_FOR_TRAINING, &again);
    if (status == STATUS_OK) {
        status = settings_dump(&again, &second);
        settings_release(&again);
    }
    if (status != STATUS_OK || first.length != second.length ||
        memcmp(strbuf_text(&first), strbuf_text(&second), first.length) != 0) {
        fprintf(stderr, "read again: %s\n%s\n---\n%s\n", status_sentence(), strbuf_text(&first),
                strbuf_text(&second));
        abort();
    }
    strbuf_release(&first);
    strbuf_release(&second);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct settings settings;
    enum status status = settings_read_text("a/input.cfg", (const char *)data, size, NULL, 0,
                                            SETTINGS_FOR_TRAINING, &settings);
    if (status == STATUS_OK) {
        status = check_dump(&settings);
        settings_release(&settings);
    }
    return fuzz_end(status, 0);
}
