/* SPDX-License-Identifier: Apache-2.0
 *
 * Characters and maximal broken parts (the examples of Unicode, section 3.9), steps back over text
 * of any kind, white space as Python's str.strip takes it.
 */
#include "base/utf8.h"

#include "base/random.h"
#include "check.h"

#define BAD "\xef\xbf\xbd"

static void check_repair(const char *text, const char *want) {
    struct strbuf out = STRBUF_EMPTY;
    CHECK_OK(utf8_repair(text, strlen(text), &out));
    CHECK_TEXT(strbuf_text(&out), want);
    CHECK(utf8_is_valid(out.text, out.length));
    CHECK_EQ(utf8_is_valid(text, strlen(text)), strcmp(text, want) == 0);
    strbuf_release(&out);
}

static void check_repairs(void) {
    check_repair("", "");
    check_repair("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80");
    check_repair("a\xf1\x80\x80\xe1\x80\xc2"
                 "b\x80"
                 "c\x80\xbf"
                 "d",
                 "a" BAD BAD BAD "b" BAD "c" BAD BAD "d");
    check_repair("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
                 "A",
                 BAD BAD BAD BAD BAD BAD BAD BAD "A");
    check_repair("\xed\xa0\x80\xed\xbf\xbf", BAD BAD BAD BAD BAD BAD);
    check_repair("\xf4\x91\x92\x93\xff"
                 "A\x80\xbf"
                 "B",
                 BAD BAD BAD BAD BAD "A" BAD BAD "B");
    check_repair("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
                 "A",
                 BAD BAD BAD BAD "A");
}

static void check_steps(void) {
    struct strbuf text = STRBUF_EMPTY;
    for (int32_t c = 0; c < 0x110000; c += c == 0xd7ff ? 0x801 : 1) {
        int32_t forth = -2, back = -2;
        strbuf_clear(&text);
        if (utf8_append(c, &text) != STATUS_OK)
            CHECK_FAILED("U+%04X cannot be written", (unsigned)c);
        const size_t step = utf8_step(text.text, text.length, &forth);
        if (forth != c || step != text.length || utf8_step_back(text.text, step, &back) != step ||
            back != c)
            CHECK_FAILED("U+%04X is read as %d and %d", (unsigned)c, forth, back);
    }
    strbuf_release(&text);
}

/* Going back finds the characters that going forth finds; bytes of broken parts count singly. */
static void check_noise(void) {
    static const unsigned char pool[] = {0xe0, 0xf0, 0xf4, 0xed, 0x9f, 0xa0, 0x80, 0xbf,
                                         0x41, 0x20, 0xc2, 0x85, 0xff, 0xcc, 0x81, 0x65};
    for (uint32_t round = 0; round < 20000; round++) {
        char text[12];
        const size_t length = 1 + random_bits(7, RANDOM_SHUFFLE, round, 0, 0, 0) % sizeof text;
        int64_t forth = 0, back = 0;
        int32_t c;
        for (uint32_t i = 0; i < length; i++)
            text[i] = (char)pool[random_bits(7, RANDOM_SHUFFLE, round, 1, i, 0) % sizeof pool];
        for (size_t at = 0; at < length;) {
            at += utf8_step(text + at, length - at, &c);
            forth += c >= 0 ? c + 1 : 0;
        }
        for (size_t at = length; at > 0;) {
            const size_t step = utf8_step_back(text, at, &c);
            CHECK(step >= 1 && step <= at && (c >= 0 || step == 1));
            at -= step;
            back += c >= 0 ? c + 1 : 0;
        }
        CHECK_EQ(forth, back);
    }
}

static void check_trim(const char *text, size_t length, const char *begin, const char *both) {
    const struct utf8_span given = {text, length};
    struct utf8_span span = utf8_trim_begin(given);
    CHECK_EQ(span.length, strlen(begin));
    CHECK(memcmp(span.text, begin, strlen(begin)) == 0);
    span = utf8_trim(given);
    CHECK_EQ(span.length, strlen(both));
    CHECK(memcmp(span.text, both, strlen(both)) == 0);
}

static void check_spaces(void) {
    int count = 0;
    for (int32_t c = 0; c < 0x110000; c++)
        count += utf8_is_python_space(c);
    CHECK_EQ(count, 29); /* sum(chr(c).isspace() for c in range(0x110000)) */
    check_trim("", 0, "", "");
    check_trim(" \t\x1c\xc2\x85\xe3\x80\x80", 8, "", "");
    check_trim("\xc2\xa0 a b\xe2\x80\xa8\r\n", 11, "a b\xe2\x80\xa8\r\n", "a b");
    check_trim("\xe2\x80\x8b x \x80", 7, "\xe2\x80\x8b x \x80", "\xe2\x80\x8b x \x80");
}

int main(void) {
    check_repairs();
    check_steps();
    check_noise();
    check_spaces();
    return CHECK_END();
}
