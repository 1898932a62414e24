/* SPDX-License-Identifier: Apache-2.0
 *
 * Where texts give their answers, one place after another in the order that is asked for.
 */
#include "answer/answer.h"

#include "check.h"

static struct span span_of(const char *text) {
    return (struct span){text, strlen(text)};
}

static const struct {
    enum answer_place place;
    const char *text, *want; /* NULL: nothing */
} cases[] = {
    {ANSWER_BOXED, "so \\boxed{5}.", "5"},
    {ANSWER_BOXED, "\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"},
    {ANSWER_BOXED, "\\boxed{1} no, \\fbox{2}", "2"},
    {ANSWER_BOXED, "\\boxed{ \\{1, 2\\} }", " \\{1, 2\\} "},
    {ANSWER_BOXED, "\\boxed {7}", "7"},
    {ANSWER_BOXED, "\\boxed{\\boxed{7}}", "\\boxed{7}"},
    {ANSWER_BOXED, "\\boxed{1 and \\boxed{2}", "2"},
    {ANSWER_BOXED, "\\boxed{1} and \\boxed{2", "1"},
    {ANSWER_BOXED, "$\\boxed{1}$ and $\\boxed{2}$", "\\boxed{1}$ and $\\boxed{2}"},
    {ANSWER_BOXED, "$\\boxed{2}$, $\\boxed{2}$", "2"},
    {ANSWER_BOXED, "\\boxed{1} which is less than \\boxed{2}", "2"},
    {ANSWER_BOXED, "\\boxed{1", NULL},
    {ANSWER_BOXED, "boxed{1}", NULL},
    {ANSWER_BLOCK, "<answer>1</answer><answer>2</answer>", "2"},
    {ANSWER_BLOCK, "<answer>\\boxed{3}</answer>", "3"},
    {ANSWER_BLOCK, "<answer>1<answer>2</answer>", "2"},
    {ANSWER_BLOCK, "<answer>1", NULL},
    {ANSWER_HASHES, "a\n#### 18\nb", " 18"},
    {ANSWER_HASHES, "#### 1 #### 2", " 2"},
    {ANSWER_HASHES, "### 1", NULL},
    {ANSWER_PHRASE, "The answer is 42. I hope it is correct.", "42"},
    {ANSWER_PHRASE, "the final answer is: $x = 3.5$.", "$x = 3.5$"},
    {ANSWER_PHRASE, "**Answer:** 3.5 cm\nas said", "3.5 cm"},
    {ANSWER_PHRASE, "The answer is 1. No, the answer is 2", "2"},
    {ANSWER_PHRASE, "The answers are 1, 2", "1, 2"},
    {ANSWER_PHRASE, "Answer = (C)", "(C)"},
    {ANSWER_PHRASE, "an answer island", NULL},
    {ANSWER_LAST, "from 3 to 4.5 km.", "4.5"},
    {ANSWER_LAST, "costs $5 and sells for $1,250.", "1,250"},
    {ANSWER_LAST, "is 3/4 of it", "3/4"},
    {ANSWER_LAST, "is -7", "-7"},
    {ANSWER_LAST, "7-3", "7-3"},
    {ANSWER_LAST, "they need 1200 * 6 =", "1200 * 6"},
    {ANSWER_LAST, "so $5 + $3.5 = ?", "5 + $3.5"},
    {ANSWER_LAST, "2 * (3 + 4) / 7 =\nSo", "2 * (3 + 4) / 7"},
    {ANSWER_LAST, "(3 + 4) * -2", "-2"},
    {ANSWER_LAST, "1/2 + 1/3 =", "1/2 + 1/3"},
    {ANSWER_LAST, "12 \xc3\xb7 4 =", "12 \xc3\xb7 4"},
    {ANSWER_LAST, "5 \\times 3 =", "5 \\times 3"},
    {ANSWER_LAST, "2^3 =", "2^3"},
    {ANSWER_LAST, "8 - 2 = 6 apples", "6"},
    {ANSWER_LAST, "5 apples + 3 apples", "3"},
    {ANSWER_LAST, "9 left\n- 15 apples", "15"},
    {ANSWER_LAST, "step **2** 15 apples", "15"},
    {ANSWER_LAST, "is **12**", "12"},
    {ANSWER_LAST, "is *12*", "12"},
    {ANSWER_LAST, "2x + 5", "5"},
    {ANSWER_LAST, "f(3) + 5", "5"},
    {ANSWER_LAST, "(in 2024)", "2024"},
    {ANSWER_LAST, "for ages 12+", "12"},
    {ANSWER_LAST, "12 + 3 = 15, so 12 -", NULL},
    {ANSWER_LAST, "4 + 3*", NULL},
    {ANSWER_LAST, "7 apples. (4 + 3) / (", NULL},
    {ANSWER_LAST, "12 - which is enough", "12"},
    {ANSWER_LAST, "so $4 + 3 +$", NULL},
    {ANSWER_LAST, "so $x^+$", "x^+"},
    {ANSWER_LAST, "so 3 and $x + 1$", "x + 1"},
    {ANSWER_LAST, "so $x+1$ or 30%", "30%"},
    {ANSWER_LAST, "thus \\(\\sqrt{2}\\) holds", "\\sqrt{2}"},
    {ANSWER_LAST, "thus \\[\\pi\\]", "\\pi"},
    {ANSWER_LAST, "none", NULL},
};

static void test_places(void) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span have = {"", 0};
        const bool found = answer_extract(span_of(cases[i].text), cases[i].place,
                                          &answer_rules_usual.block, &have);
        const bool right =
            cases[i].want == NULL ? !found : found && span_equal(have, span_of(cases[i].want));
        if (!right)
            CHECK_FAILED("%s of \"%s\" is \"%.*s\", expected \"%s\"",
                         answer_place_word(cases[i].place), cases[i].text,
                         found ? (int)have.length : 0, have.text,
                         cases[i].want == NULL ? "nothing" : cases[i].want);
    }
}

/* The first place that is there counts, in the order of the rules. */
static void test_order(void) {
    static const char text[] = "#### 1\n<answer>2</answer> the answer is 3. \\boxed{4} and 5";
    static char boxed[] = "boxed", block[] = "block", hashes[] = "hashes", phrase[] = "phrase",
                last[] = "last", lost[] = "end";
    char *const orders[][2] = {
        {last, boxed}, {phrase, boxed}, {hashes, last}, {block, last}, {boxed, last}};
    static const char *const want[] = {"5", "3", "1", "2", "4"};
    struct answer_rules rules;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        CHECK_OK(answer_rules_read(orders[i], 2, 1e-5, &rules));
        const struct answer_grade grade = answer_grade(&rules, span_of(text), span_of(want[i]));
        CHECK_EQ(grade.verdict, ANSWER_RIGHT);
        CHECK_EQ(grade.place, answer_place_find(orders[i][0]));
    }
    char *const unknown[] = {boxed, lost};
    CHECK_STATUS(answer_rules_read(unknown, 2, 1e-5, &rules), STATUS_INPUT, "'end'");
    CHECK_EQ(answer_grade(&answer_rules_usual, span_of("well"), span_of("1")).verdict,
             ANSWER_MISSING);
}

/* What a sentence or a computation that is cut off is worth, and what of it counts. */
static void test_meaning(void) {
    static const struct {
        const char *text, *reference;
        enum answer_verdict verdict;
        const char *extracted;
    } meant[] = {
#define RIGHT   ANSWER_RIGHT
#define WRONG   ANSWER_WRONG
#define MISSING ANSWER_MISSING
        {"The answer is that the classroom has 24 times as many.", "24", RIGHT, "24"},
        {"The answer is that the classroom has 24 times as many.", "25", WRONG, "24"},
        {"the final answer: John still has 2 legs on the ground.", "2", RIGHT, "2"},
        {"The answer is: Jos\xc3\xa9's sister needs $1,250 in total.", "1250", RIGHT, "1,250"},
        {"The answer is that -5 degrees is the low.", "-5", RIGHT, "-5"},
        {"The answer is that a 1/4 of them stays.", "0.25", RIGHT, "1/4"},
        {"The answer is about 30% of them.", "30", RIGHT, "30%"},
        {"The answer is 6 apples", "6", RIGHT, "6"},
        {"the final answer: John still has 2 legs and buys 2 lego sets.", "2", RIGHT, "2"},
        {"The answer is 5 times 5.", "5", WRONG, "5 times 5"},
        {"The answer is 5 apples and 3 pears.", "5", WRONG, "5 apples and 3 pears"},
        {"The answer is 24 times 3 chairs.", "24", WRONG, "24 times 3 chairs"},
        {"The answer is choice B because 3 is odd.", "3", WRONG, "choice B because 3 is odd"},
        {"The answer is that x is at most 3.", "3", WRONG, "that x is at most 3"},
        {"The answer is that he has at most 3.", "3", WRONG, "that he has at most 3"},
        {"The answer is that he has 3 more than Bob.", "3", RIGHT, "3"},
        {"The answer is not 24.", "24", WRONG, "not 24"},
        {"The answer isn't 24. The answer is it isn't 24.", "24", WRONG, "it isn't 24"},
        {"The answer is half of 24 apples.", "24", WRONG, "half of 24 apples"},
        {"The answer is that they lack 24 dozen.", "24", WRONG, "that they lack 24 dozen"},
        {"The answer is that he runs the 5km.", "5", WRONG, "that he runs the 5km"},
        {"The answer is that the sum is 5x.", "5", WRONG, "that the sum is 5x"},
        {"The answer is the value \xcf\x80 + 5.", "5", WRONG, "the value \xcf\x80 + 5"},
        {"The answer is no, since 5 is odd.", "no", WRONG, "no, since 5 is odd"},
        {"The answer is Route 66.", "Route 66", RIGHT, "Route 66"},
        {"The answer is Route 66.", "Route 67", WRONG, "Route 66"},
        {"so 1200 * 6 =", "7200", RIGHT, "1200 * 6"},
        {"so 1200 * 6 =", "6", WRONG, "1200 * 6"},
        {"so 2 * (3 + 4) / 7 =", "2", RIGHT, "2 * (3 + 4) / 7"},
        {"so $5 + $3 =", "8", RIGHT, "5 + $3"},
        {"The answer is 1200 * 6 =", "7200", RIGHT, "1200 * 6"},
        {"so $1200 * 6 =$", "7200", RIGHT, "1200 * 6"},
        {"so 12 + 3 = 15, and 15 /", "15", MISSING, ""},
#undef RIGHT
#undef WRONG
#undef MISSING
    };
    for (size_t i = 0; i < sizeof meant / sizeof *meant; i++) {
        const struct answer_grade grade =
            answer_grade(&answer_rules_usual, span_of(meant[i].text), span_of(meant[i].reference));
        if (grade.verdict != meant[i].verdict ||
            !span_equal(grade.extracted, span_of(meant[i].extracted)))
            CHECK_FAILED("\"%s\" beside %s: %s by \"%.*s\", expected %s by \"%s\"", meant[i].text,
                         meant[i].reference, answer_verdict_word(grade.verdict),
                         (int)grade.extracted.length, grade.extracted.text,
                         answer_verdict_word(meant[i].verdict), meant[i].extracted);
    }
}

/* The name of the block's tags is a rule like the others. */
static void test_tags(void) {
    static const char *const wrong[] = {"", "a b", "a>", "</a",
                                        "123456789012345678901234567890123"};
    struct answer_rules rules = answer_rules_usual;
    CHECK(extract_tags_make("solution", &rules.block));
    const struct answer_grade grade =
        answer_grade(&rules, span_of("<answer>1</answer><solution>2</solution>"), span_of("2"));
    CHECK_EQ(grade.verdict, ANSWER_RIGHT);
    CHECK_EQ(grade.place, ANSWER_BLOCK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(!extract_tags_make(wrong[i], &rules.block));
}

/* References may be worked solutions. */
static void test_reference(void) {
    CHECK_EQ(answer_grade(&answer_rules_usual, span_of("#### 12"), span_of("3 * 4 = 12\n#### 12"))
                 .verdict,
             ANSWER_RIGHT);
    CHECK_EQ(answer_grade(&answer_rules_usual, span_of("0.5"), span_of("is $\\boxed{\\frac12}$"))
                 .verdict,
             ANSWER_RIGHT);
}

int main(void) {
    test_places();
    test_order();
    test_meaning();
    test_tags();
    test_reference();
    return CHECK_END();
}
