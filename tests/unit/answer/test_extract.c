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
    {ANSWER_LAST, "7-3", "3"},
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
    test_tags();
    test_reference();
    return CHECK_END();
}
