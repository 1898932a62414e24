/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that want to stall a run: each is graded in linear time beside a few milliseconds.
 */
#include "answer/answer.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "check.h"

enum { MEGABYTE = 1 << 20 };

/* Milliseconds for a megabyte, of which a pass over it takes some. A busy machine, and the
 * sanitizers, make everything slower; what is quadratic or worse would take minutes. */
static const double limit_s = 1.0;

static struct span span_of(const char *text) {
    return (struct span){text, strlen(text)};
}

/* The best of three, which what runs beside does not lengthen. */
static void grade_in_time(struct span text, struct span reference, enum answer_verdict want,
                          double limit, const char *what) {
    double best_s = 1e9;
    for (int round = 0; round < 3; round++) {
        const double start_s = clock_now_s();
        const struct answer_grade grade = answer_grade(&answer_rules_usual, text, reference);
        const double taken_s = clock_now_s() - start_s;
        best_s = taken_s < best_s ? taken_s : best_s;
        if (grade.verdict != want)
            CHECK_FAILED("%s: %s, expected %s", what, answer_verdict_word(grade.verdict),
                         answer_verdict_word(want));
    }
    if (best_s > limit)
        CHECK_FAILED("%s: %.3f s, expected %.3f", what, best_s, limit);
}

/* head, then a megabyte of `body`, then tail. */
static struct strbuf repeat(const char *head, const char *body, const char *tail) {
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(strbuf_append_text(&text, head));
    while (text.length < MEGABYTE)
        CHECK_OK(strbuf_append_text(&text, body));
    CHECK_OK(strbuf_append_text(&text, tail));
    return text;
}

static void test_megabytes(void) {
    static const struct {
        const char *head, *body, *tail;
        enum answer_verdict want;
    } cases[] = {
        {"", "{", "", ANSWER_MISSING},
        {"", "}", "", ANSWER_MISSING},
        {"\\boxed{", "{", "", ANSWER_MISSING},
        {"", "\\boxed{", "", ANSWER_MISSING},
        {"", "\\boxed{", "1}", ANSWER_WRONG},
        {"", "\\boxed{1}", "", ANSWER_WRONG},
        {"", "\\boxed", "", ANSWER_MISSING},
        {"\\boxed{", "{}", "}", ANSWER_UNDECIDED},
        {"\\boxed{", "(", "}", ANSWER_UNDECIDED},
        {"\\boxed{", "\\frac{", "}", ANSWER_MISSING},
        {"\\boxed{", "1+", "1}", ANSWER_UNDECIDED},
        {"", "<answer>", "", ANSWER_MISSING},
        {"", "<", "", ANSWER_MISSING},
        {"", "####", "", ANSWER_WRONG},
        {"", "#", "", ANSWER_WRONG},
        {"", "the answer is ", "", ANSWER_MISSING},
        {"the answer is ", " ", "", ANSWER_MISSING},
        {"", "answer", "", ANSWER_MISSING},
        {"", "answer *", "", ANSWER_MISSING},
        {"", "$", "", ANSWER_MISSING},
        {"", "$$ ", "", ANSWER_MISSING},
        {"", "\\(", "", ANSWER_MISSING},
        {"", "\\", "", ANSWER_MISSING},
        {"", "1", "", ANSWER_UNDECIDED},
        {"", "1,", "", ANSWER_UNDECIDED},
        {"", "-", "1", ANSWER_WRONG},
        {"", "\xff", "", ANSWER_MISSING},
        {"\\boxed{", "\xe2\x88", "}", ANSWER_UNDECIDED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct strbuf text = repeat(cases[i].head, cases[i].body, cases[i].tail);
        char what[64];
        snprintf(what, sizeof what, "%s%s... %s", cases[i].head, cases[i].body, cases[i].tail);
        grade_in_time((struct span){text.text, text.length}, span_of("17"), cases[i].want, limit_s,
                      what);
        /* as a reference, and beside itself */
        answer_grade(&answer_rules_usual, span_of("17"), (struct span){text.text, text.length});
        answer_grade(&answer_rules_usual, (struct span){text.text, text.length},
                     (struct span){text.text, text.length});
        strbuf_release(&text);
    }
}

/* Numbers of 10^6 digits are compared exactly, as decimals. */
static void test_digits(void) {
    struct strbuf digits = repeat("1", "7", ""), other = repeat("1", "7", "");
    other.text[other.length / 2] = '8';
    const struct span text = {digits.text, digits.length};
    grade_in_time(text, text, ANSWER_RIGHT, limit_s, "a million digits beside themselves");
    CHECK_OK(strbuf_append_text(&digits, ".000"));
    grade_in_time((struct span){digits.text, digits.length}, text, ANSWER_RIGHT, limit_s,
                  "a million digits and .000");
    grade_in_time((struct span){other.text, other.length}, text, ANSWER_UNDECIDED, limit_s,
                  "a million digits, one of them another");
    strbuf_release(&digits);
    strbuf_release(&other);
}

/* What is short but would take long, or for ever: the budget is for this. */
static void test_short(void) {
    static const struct {
        const char *answer, *reference;
    } cases[] = {
        {"9^{9^{9^9}}", "5"},
        {"9^{9^{9^{9^{9^{9^9}}}}}", "10^{10^{10^{10}}}"},
        {"((((((2^{99})^{99})^{99})^{99})^{99})^{99})", "2^{99^{6}}-1"},
        {"1000!", "1000!+1"},
        {"1000!^{1000}", "999!^{1000}"},
        {"(1000!)!", "((1000!)!)!"},
        {"\\binom{1000}{500}^{100}", "\\binom{1000}{499}^{100}"},
        {"1/0", "0/0"},
        {"\\frac{1}{0}", "5"},
        {"0^{-1}", "0^0"},
        {"5^{\\frac10}", "\\sqrt[0]{5}"},
        {"\\ln 0", "\\log_1 5"},
        {"1e999999999", "1e-999999999"},
        {"1e999999999+1", "1e999999999"},
        {"10^{999999999}", "1e999999998"},
        {"\\tan 90^\\circ", "\\infty"},
        {"\\lfloor 10^{300} \\rfloor", "\\lceil 10^{301} \\rceil"},
        {"\\gcd(10^{4000},6^{3000})", "2^{2999}"},
        {"1_{2}", "999999999999999999_{36}"},
        {"0.\\overline{999999999999999999}", "2"},
        {"|||||x|||||", "x"},
        {"\\sqrt[3]{\\sqrt[3]{\\sqrt[3]{x}}}", "x^{1/26}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double start_s = clock_now_s();
        const enum answer_verdict have =
            answer_compare(1e-5, span_of(cases[i].answer), span_of(cases[i].reference));
        if (have == ANSWER_RIGHT || clock_now_s() - start_s > limit_s / 4)
            CHECK_FAILED("%s beside %s: %s after %.3f s", cases[i].answer, cases[i].reference,
                         answer_verdict_word(have), clock_now_s() - start_s);
    }
}

/* The longest that are read at all, of one piece again and again: deep, wide, and with many
 * elements that all must be compared with all. */
static void test_longest(void) {
    static const char *const pieces[] = {
        "(",
        "{",
        "[",
        "\\frac{1}{",
        "\\sqrt{",
        "x^{",
        "2^",
        "-",
        "x+",
        "x",
        "1,",
        "(1,2),",
        "\\sin ",
        "\\frac12",
        "|",
        "\\pm 1,",
        "a<",
        "1=",
        "\\cup(0,1)",
        "12^{99}*",
        "1/3+",
        "x_{1}",
        "5\\%",
        "\\text{a} ",
        "\\begin{pmatrix}1&",
        "!",
        "99^{99}+",
        "1000!,",
        "\\log_",
        "f(x)",
        "\\dot x",
        "1 1/2",
        "\\boxed{",
        "e^{i",
        "\\min(1,",
        "\\sqrt2,",
        "^\\circ",
        "3\\text{ cm}/",
    };
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct strbuf text = STRBUF_EMPTY;
        while (text.length + strlen(pieces[i]) + 1 < ANSWER_LONGEST)
            CHECK_OK(strbuf_append_text(&text, pieces[i]));
        for (size_t length = text.length; length > 0; length /= 4) {
            struct strbuf other = STRBUF_EMPTY;
            CHECK_OK(strbuf_append(&other, text.text, length));
            CHECK_OK(strbuf_append_text(&other, "7"));
            double best_s = 1e9;
            for (int round = 0; round < 3; round++) {
                const double start_s = clock_now_s();
                answer_compare(1e-5, (struct span){text.text, length},
                               (struct span){other.text, other.length});
                best_s = fmin(best_s, clock_now_s() - start_s);
            }
            if (best_s > limit_s / 4)
                CHECK_FAILED("%zu bytes of %s: %.3f s", length, pieces[i], best_s);
            if (getenv("GRADUS_SHOW_TIMES") != NULL)
                printf("%8.3f ms %5zu bytes of %s\n", 1e3 * best_s, length, pieces[i]);
            strbuf_release(&other);
        }
        strbuf_release(&text);
    }
}

/* Lists whose elements must all be compared with all, each with large numbers or functions. */
static void test_wide(void) {
    static const struct {
        const char *given, *wanted;
    } elements[] = {
        {"\\frac{10^{300}}{10^{299}+%d},", "\\frac{10^{300}}{10^{299}-%d},"},
        {"1000!/999!+%d,", "\\binom{1000}{500}-%d,"},
        {"\\gcd(7^{900}+%d,3^{900}),", "7^{900}-%d,"},
        {"\\sin(x+%d),", "\\sin(x-%d),"},
        {"\\sqrt{%d},", "\\sqrt{%d.5},"},
    };
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
        struct strbuf given = STRBUF_EMPTY, wanted = STRBUF_EMPTY;
        for (int k = 1; k < 64; k++) {
            char text[64];
            snprintf(text, sizeof text, elements[i].given, k);
            CHECK_OK(strbuf_append_text(&given, text));
            snprintf(text, sizeof text, elements[i].wanted, k);
            CHECK_OK(strbuf_append_text(&wanted, text));
        }
        const double start_s = clock_now_s();
        const enum answer_verdict have =
            answer_compare(1e-5, (struct span){given.text, given.length},
                           (struct span){wanted.text, wanted.length});
        if (have == ANSWER_RIGHT || clock_now_s() - start_s > limit_s / 4)
            CHECK_FAILED("63 of %s: %s after %.3f s", elements[i].given, answer_verdict_word(have),
                         clock_now_s() - start_s);
        strbuf_release(&given);
        strbuf_release(&wanted);
    }
}

int main(void) {
    test_megabytes();
    test_digits();
    test_short();
    test_longest();
    test_wide();
    return CHECK_END();
}
