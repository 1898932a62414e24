/* SPDX-License-Identifier: Apache-2.0
 *
 * Normal form C, around the borders of Hangul composition as Python's unicodedata has it
 * (tests/data/text/make_beside.py), and that normalizing takes no square of a text's length.
 */
#include "cases.h"

#include "base/clock.h"

static void check_compose(const char *text, const char *want) {
    struct strbuf out = STRBUF_EMPTY;
    CHECK_OK(unicode_compose(text, strlen(text), &out));
    CHECK_TEXT(strbuf_text(&out), want);
    strbuf_release(&out);
}

static void check_long_marks(void) {
    struct strbuf text = STRBUF_EMPTY, out = STRBUF_EMPTY;
    const int pairs = 200000;
    CHECK_OK(strbuf_append_text(&text, "a"));
    for (int i = 0; i < pairs; i++) /* above, below: all the lower classes go first */
        CHECK_OK(strbuf_append_text(&text, "\xcc\x81\xcc\x96"));
    const double start = clock_now_s();
    CHECK_OK(unicode_compose(text.text, text.length, &out));
    CHECK(clock_now_s() - start < 5.0);
    /* the first U+0301 joins the a */
    CHECK_EQ(out.length, text.length - 1);
    CHECK(strncmp(out.text, "\xc3\xa1\xcc\x96\xcc\x96", 6) == 0);
    CHECK(strcmp(out.text + out.length - 4, "\xcc\x81\xcc\x81") == 0);
    strbuf_release(&text);
    strbuf_release(&out);
}

static void check_hangul(void) {
    json_t *rows = cases_load("hangul.json"), *row;
    size_t i;
    CHECK(json_array_size(rows) > 150);
    json_array_foreach(rows, i, row) check_compose(json_string_value(json_array_get(row, 0)),
                                                   json_string_value(json_array_get(row, 1)));
    json_decref(rows);
}

int main(void) {
    check_compose("plain", "plain");
    check_compose("e\xcc\x81", "\xc3\xa9");
    check_compose("\xe2\x84\xab", "\xc3\x85");                             /* ångström sign */
    check_compose("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"); /* Hangul */
    check_compose("a\xcc\x81\xcc\xa3", "\xe1\xba\xa1\xcc\x81");            /* order of marks */
    check_compose("\xe0\xa2\x98\xcc\xb4", "\xe0\xa2\x98\xcc\xb4");         /* younger than 9 */
    check_compose("\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0", "\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0");
    check_hangul();
    check_long_marks();
    return CHECK_END();
}
