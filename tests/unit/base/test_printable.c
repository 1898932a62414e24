/* SPDX-License-Identifier: Apache-2.0
 *
 * Foreign text, whatever its bytes, becomes a bounded piece of valid UTF-8 without control
 * characters: known cases, then random bytes, each into a block of exactly the size that is asked
 * for, so that a sanitizer sees the first byte too many. The same for whole sentences.
 */
#include "base/printable.h"

#include <stdint.h>

#include "base/random.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "check.h"

enum { ROUNDS = 20000, LONGEST = 600 };

static uint32_t draw(uint32_t round, uint32_t what, uint32_t place, uint32_t below) {
    return (uint32_t)(random_uniform(11, RANDOM_TEST, round, what, place, 0) * below);
}

static size_t characters(const char *text) {
    size_t count = 0, at = 0;
    int32_t character;
    for (const size_t length = strlen(text); at < length; count++)
        at += utf8_step(text + at, length - at, &character);
    return count;
}

/* What holds for every text: it ends, is UTF-8, has no control character. */
static void check_clean(const char *text) {
    CHECK(utf8_is_valid(text, strlen(text)));
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            CHECK_FAILED("\"%s\" holds the control character 0x%02x", text, (unsigned)*c);
}

/* A quotation in a block of its own, so that nothing lies behind it. */
static char *quote(const char *text, size_t length) {
    char *out = malloc(STATUS_QUOTE_MAX);
    CHECK(status_quote(out, text, length) == out);
    check_clean(out);
    CHECK(characters(out) <= STATUS_QUOTE_CHARACTERS + 1);
    return out;
}

static void check_quote(const char *text, const char *want) {
    char *out = quote(text, SIZE_MAX);
    CHECK_TEXT(out, want);
    free(out);
}

/* `count` times `piece` becomes `shown` times `want`, and "…" where that is not all. */
static void check_run(const char *piece, int count, const char *want, int shown) {
    struct strbuf text = STRBUF_EMPTY, expected = STRBUF_EMPTY;
    for (int i = 0; i < count; i++)
        CHECK_OK(strbuf_append_text(&text, piece));
    for (int i = 0; i < shown; i++)
        CHECK_OK(strbuf_append_text(&expected, want));
    CHECK_OK(strbuf_append_text(&expected, shown < count ? "…" : ""));
    check_quote(strbuf_text(&text), strbuf_text(&expected));
    strbuf_release(&text);
    strbuf_release(&expected);
}

static void known_cases(void) {
    check_quote("", "");
    check_quote("plain, é, 数, 🙂", "plain, é, 数, 🙂");
    check_quote("a\nb\x1b[0m\x7f", "a\\x0ab\\x1b[0m\\x7f");
    check_quote("say \"no\" \\n", "say \\\"no\\\" \\\\n");
    check_quote("\x80", "\\x80");
    check_quote("a\xc3", "a\\xc3");
    check_quote("\xc3(\xe2\x82", "\\xc3(\\xe2\\x82");
    check_quote("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* a surrogate */
    check_quote("\xc0\xaf \xf4\x90\x80\x80", "\\xc0\\xaf \\xf4\\x90\\x80\\x80");
    check_quote("\xc2\x9b"
                "1m",
                "\\xc2\\x9b"
                "1m");                              /* C1: begins a sequence */
    check_quote("\xe2\x80\xae", "\\xe2\\x80\\xae"); /* turns what follows */
    check_run("x", 80, "x", 80);
    check_run("x", 81, "x", 80);
    check_run("é", 200, "é", 80);
    check_run("🙂", 200, "🙂", 80);
    check_run("\x80", 3000, "\\x80", 20);
    check_run("\xbf", 3000, "\\xbf", 20);
    check_run("\x01", 3000, "\\x01", 20);
    check_run("\"", 3000, "\\\"", 40);
}

/* Bytes of one of four kinds: all, those that continue a character, controls, whole characters. */
static size_t random_text(uint32_t round, char *text) {
    static const char *const pieces[] = {"é", "数", "🙂", "\xc2\x85", "x", "\"", "\\", "\n"};
    const uint32_t kind = draw(round, 0, 0, 4), bytes = draw(round, 1, 0, LONGEST);
    size_t length = 0;
    for (uint32_t i = 0; length < bytes; i++) {
        if (kind == 3) {
            const char *piece = pieces[draw(round, 2, i, sizeof pieces / sizeof *pieces)];
            memcpy(text + length, piece, strlen(piece));
            length += strlen(piece);
        } else
            text[length++] = (char)(kind == 0   ? draw(round, 2, i, 256)
                                    : kind == 1 ? 0x80 + draw(round, 2, i, 64)
                                                : draw(round, 2, i, 32));
    }
    text[length] = '\0';
    return length;
}

static void random_quotes(void) {
    for (uint32_t round = 0; round < ROUNDS; round++) {
        char whole[LONGEST + 8];
        const size_t length = random_text(round, whole);
        char *text = malloc(length + 1); /* exactly, and without an end */
        memcpy(text, whole, length);
        free(quote(text, length));
        free(text);
    }
}

/* Any size and any number of characters: the text ends inside and is a beginning of the whole. */
static void random_sizes(void) {
    for (uint32_t round = 0; round < ROUNDS; round++) {
        char text[LONGEST + 8], all[4 * LONGEST + 32];
        const size_t length = random_text(round, text), size = 4 + draw(round, 3, 0, 64),
                     most = draw(round, 4, 0, 64);
        char *out = malloc(size);
        const size_t used = printable(out, size, most, "\"", text, length);
        printable(all, sizeof all, SIZE_MAX, "\"", text, length);
        CHECK_EQ(used, strlen(out));
        CHECK(used < size);
        CHECK(characters(out) <= most + 1);
        check_clean(out);
        const bool cut = strcmp(out, all) != 0;
        const size_t kept = used - (cut ? strlen("…") : 0);
        CHECK(strncmp(out, all, kept) == 0);
        CHECK(!cut || strcmp(out + kept, "…") == 0);
        free(out);
    }
}

/* What is not quoted cannot break a sentence either. */
static void sentences(void) {
    char text[LONGEST + 8], *longer = malloc(5000);
    CHECK_STATUS(FAIL(STATUS_IO, "%s: no", "a\nb\xff"), STATUS_IO, "a\\x0ab\\xff: no");
    CHECK_STATUS(FAIL(STATUS_IO, "1: %s", status_sentence()), STATUS_IO, "1: a\\x0ab\\xff: no");
    for (uint32_t round = 0; round < ROUNDS / 4; round++) {
        random_text(round, text);
        CHECK_EQ(FAIL(STATUS_INPUT, "%s: no", text), STATUS_INPUT);
        check_clean(status_sentence());
    }
    memset(longer, 0x80, 4999);
    longer[4999] = '\0';
    CHECK_EQ(FAIL(STATUS_INPUT, "%s", longer), STATUS_INPUT);
    check_clean(status_sentence());
    CHECK(strlen(status_sentence()) < STATUS_SENTENCE_MAX);
    CHECK(strstr(status_sentence(), "…") != NULL);
    status_set_sentence(longer);
    check_clean(status_sentence());
    CHECK(strlen(status_sentence()) < STATUS_SENTENCE_MAX);
    free(longer);
}

/* A defect says where it was seen; other failures do not. */
static void defects(void) {
    CHECK_STATUS(FAIL(STATUS_DEFECT, "odd"), STATUS_DEFECT, "odd (a defect at ");
    CHECK(strstr(status_sentence(), "test_printable.c:") != NULL);
    CHECK_STATUS(FAIL(STATUS_INPUT, "odd"), STATUS_INPUT, "odd");
    CHECK_TEXT(status_sentence(), "odd");
}

int main(void) {
    known_cases();
    random_quotes();
    random_sizes();
    sentences();
    defects();
    return CHECK_END();
}
