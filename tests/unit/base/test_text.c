/* SPDX-License-Identifier: Apache-2.0
 * Promises: a strbuf grows and stays terminated; quoted foreign text is short, printable and cut
 * between characters; a failure keeps its sentence. */
#include "base/strbuf.h"

#include <stdint.h>

#include "check.h"

static void growing(void) {
    struct strbuf buffer = STRBUF_EMPTY;
    CHECK_TEXT(strbuf_text(&buffer), "");
    for (int i = 0; i < 1000; i++)
        CHECK_OK(strbuf_append_format(&buffer, "%03d,", i));
    CHECK_EQ(buffer.length, 4000);
    CHECK_EQ(strlen(buffer.text), 4000);
    CHECK(memcmp(buffer.text + 4 * 517, "517,", 4) == 0);
    CHECK_OK(strbuf_append(&buffer, "\0x", 2));
    CHECK_EQ(buffer.text[4001], 'x');
    strbuf_clear(&buffer);
    CHECK_TEXT(strbuf_text(&buffer), "");
    strbuf_release(&buffer);
}

static void quoting(void) {
    char out[STATUS_QUOTE_MAX], text[201];
    CHECK_TEXT(status_quote(out, "plain", SIZE_MAX), "plain");
    CHECK_TEXT(status_quote(out, "a\nb\x1b[0m", SIZE_MAX), "a\\x0ab\\x1b[0m");
    memset(text, 'x', 200);
    text[200] = '\0';
    status_quote(out, text, 200);
    CHECK_EQ(strlen(out), 80 + strlen("…"));
    for (size_t i = 0; i < 200; i += 2)
        memcpy(text + i, "é", 2);
    status_quote(out, text, 200);
    CHECK_EQ(strlen(out), 160 + strlen("…"));
    memset(text, '\x01', 200);
    CHECK(strlen(status_quote(out, text, 200)) < STATUS_QUOTE_MAX);
}

static enum status outer(int fails) {
    TRY(fails ? FAIL(STATUS_INPUT, "line %d is %s", 3, "wrong") : STATUS_OK);
    return STATUS_OK;
}

static void sentences(void) {
    CHECK_OK(outer(0));
    CHECK_STATUS(outer(1), STATUS_INPUT, "line 3 is wrong");
    CHECK(strstr(status_place(), "test_text.c:") != NULL);
    CHECK_EQ(status_exit(STATUS_INPUT), 2);
    CHECK_EQ(status_exit(STATUS_STOPPED), 85);
    status_clear();
    CHECK_TEXT(status_sentence(), "");
}

int main(void) {
    growing();
    quoting();
    sentences();
    return CHECK_END();
}
