/* SPDX-License-Identifier: Apache-2.0
 *
 * Characters and maximal broken parts (the examples of Unicode, section 3.9), normal form C, and
 * that normalizing takes no square of a text's length.
 */
#include "cases.h"

#include "base/clock.h"

#define BAD "\xef\xbf\xbd"

static void check_repair(const char *text, const char *want) {
    struct strbuf out = STRBUF_EMPTY;
    CHECK_OK(utf8_repair(text, strlen(text), &out));
    CHECK_TEXT(strbuf_text(&out), want);
    CHECK(utf8_is_valid(out.text, out.length));
    CHECK_EQ(utf8_is_valid(text, strlen(text)), strcmp(text, want) == 0);
    strbuf_release(&out);
}

static void check_compose(const char *text, const char *want) {
    struct strbuf out = STRBUF_EMPTY;
    CHECK_OK(utf8_compose(text, strlen(text), &out));
    CHECK_TEXT(strbuf_text(&out), want);
    strbuf_release(&out);
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

static void check_long_marks(void) {
    struct strbuf text = STRBUF_EMPTY, out = STRBUF_EMPTY;
    const int pairs = 200000;
    CHECK_OK(strbuf_append_text(&text, "a"));
    for (int i = 0; i < pairs; i++) /* above, below: all the lower classes go first */
        CHECK_OK(strbuf_append_text(&text, "\xcc\x81\xcc\x96"));
    const double start = clock_now_s();
    CHECK_OK(utf8_compose(text.text, text.length, &out));
    CHECK(clock_now_s() - start < 5.0);
    /* the first U+0301 joins the a */
    CHECK_EQ(out.length, text.length - 1);
    CHECK(strncmp(out.text, "\xc3\xa1\xcc\x96\xcc\x96", 6) == 0);
    CHECK(strcmp(out.text + out.length - 4, "\xcc\x81\xcc\x81") == 0);
    strbuf_release(&text);
    strbuf_release(&out);
}

int main(void) {
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
    check_steps();
    check_compose("plain", "plain");
    check_compose("e\xcc\x81", "\xc3\xa9");
    check_compose("\xe2\x84\xab", "\xc3\x85");                             /* ångström sign */
    check_compose("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"); /* Hangul */
    check_compose("a\xcc\x81\xcc\xa3", "\xe1\xba\xa1\xcc\x81");            /* order of marks */
    check_compose("\xe0\xa2\x98\xcc\xb4", "\xe0\xa2\x98\xcc\xb4");         /* younger than 9 */
    check_compose("\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0", "\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0");
    check_long_marks();
    return CHECK_END();
}
