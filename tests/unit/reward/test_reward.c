/* SPDX-License-Identifier: Apache-2.0
 *
 * The rewards on ordinary, odd and hostile texts; hostile ones of some megabytes in linear time.
 */
#include "reward/reward.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "check.h"

static double score_bytes(const char *rule, const char *text, size_t length,
                          const char *reference) {
    return reward_find(rule)->score(&(const struct reward_input){
        .text = text,
        .length = length,
        .reference = reference,
        .reference_length = strlen(reference),
    });
}

static double score(const char *rule, const char *text, const char *reference) {
    return score_bytes(rule, text, strlen(text), reference);
}

static void test_format(void) {
    static const struct {
        const char *text;
        double want;
    } cases[] = {
        {"<think>a</think><answer>b</answer>", 1},
        {" \n<think>a\n</think>\n\n <answer>b</answer>\t", 1},
        {"<think></think><answer></answer>", 1},
        {"\xC2\xA0<think>a</think>\xE3\x80\x80\xE2\x80\xA8<answer>b</answer>\xE2\x80\x89\x1C", 1},
        {"<think>a<b</think><answer>1</2</answer>", 1},
        {"<think>a</think>x<answer>b</answer>", 0.5},
        {"<think>a</think><answer>b</answer><answer>c</answer>", 0.5},
        {"<think>a<think>b</think><answer>c</answer>", 0.5},
        {"<think>a</think></think><answer>c</answer>", 0.5},
        {"<think>a<answer>c</answer>", 0.5},
        {"<think></answer>", 0.5},
        {"<think><answer>a</think></answer>", 0.5},
        {"<think>a</think><answer>b", 0.25},
        {"<think>a</think><answer>b</answer>.", 0.25},
        {"So <think>a</think><answer>b</answer>", 0.25},
        {"<think>", 0.25},
        {"7</answer>", 0.25},
        {"<answer>b</answer><think>a</think>", 0},
        {"<Think>a</think>", 0},
        {"", 0},
        {" \n", 0},
        {"\xE2\x80", 0},
        {"42", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double have = score("format", cases[i].text, "");
        if (have != cases[i].want)
            CHECK_FAILED("format of \"%s\" is %g, expected %g", cases[i].text, have, cases[i].want);
    }
    /* U+200B is no white space, and a zero byte is none either. */
    CHECK_NEAR(score("format", "\xE2\x80\x8B<think>a</think><answer>b</answer>", ""), 0.25, 0);
    const char zero[] = "<think>a</think>\0<answer>b</answer>";
    CHECK_NEAR(score_bytes("format", zero, sizeof zero - 1, ""), 0.5, 0);
    const char inside[] = "<think>a\0b</think><answer>b</answer>";
    CHECK_NEAR(score_bytes("format", inside, sizeof inside - 1, ""), 1, 0);
}

static void test_answer(void) {
    static const struct {
        const char *text, *reference;
        double want;
    } cases[] = {
        {"<think>x</think><answer>42</answer>", "42", 1},
        {"<answer> 42\n</answer>", " 42 ", 1},
        {"<answer>42.0</answer>", "42", 1},
        {"<answer>1,042</answer>", "1042", 1},
        {"<answer>-3</answer>", "3", 0},
        {"<answer>42", "42", 0},
        {"42</answer>", "42", 0},
        {"42", "42", 0},
        {"", "", 0},
        {"<answer></answer>", "", 1},
        {"<answer>blue whale</answer>", "blue whale", 1},
        {"<answer>Blue whale</answer>", "blue whale", 0},
        {"<answer>1</answer><answer>2</answer>", "2", 1},
        {"<answer>1</answer><answer>2</answer>", "1", 0},
        {"<answer>1</answer><answer>2", "1", 1},
        {"<answer>1<answer>2</answer>", "2", 1},
        {"<answer>1</answer></answer>", "1", 1},
        {"<answer>the answer is 42</answer>", "42", 0},
        {"<answer>nan</answer>", "NaN", 0},
        {"<answer>nan</answer>", "nan", 1},
        {"<answer>\xC3\xBC\xE2\x80\xAF</answer>", "\xC3\xBC", 1},
        {"<answer>12</ANSWER>", "12", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double have = score("answer", cases[i].text, cases[i].reference);
        if (have != cases[i].want)
            CHECK_FAILED("answer of \"%s\" against \"%s\" is %g, expected %g", cases[i].text,
                         cases[i].reference, have, cases[i].want);
    }
    const struct reward_input none = {.text = NULL, .reference = NULL};
    CHECK_NEAR(reward_answer.score(&none) + reward_format.score(&none), 0, 0);
}

/* By its rules where there are some; answer/ has tests of what is equal. */
static void test_math(void) {
    const struct answer_rules block = {
        .places = {ANSWER_BLOCK}, .place_count = 1, .block = {"<answer>", "</answer>"}};
    struct reward_input input = {.text = "<answer>0.333333</answer> and \\boxed{\\frac24}",
                                 .reference = "1/2"};
    input.length = strlen(input.text);
    input.reference_length = strlen(input.reference);
    CHECK_NEAR(reward_math.score(&input), 1, 0);
    input.rules = &block;
    CHECK_NEAR(reward_math.score(&input), 0, 0);
    input.reference = "1/3";
    CHECK_NEAR(reward_math.score(&input), 0, 0);
    input.reference = "0.333333";
    input.reference_length = strlen(input.reference);
    CHECK_NEAR(reward_math.score(&input), 1, 0);
    CHECK_NEAR(reward_math.score(&(const struct reward_input){.text = NULL, .reference = NULL}), 0,
               0);
}

static void test_length(void) {
    const struct reward_input input = {.tokens = 96, .max_new_tokens = 128};
    CHECK_NEAR(reward_length.score(&input), 0.75, 0);
}

/* DAPO's eq. 13, with L_max = 20 and L_cache = 8. */
static void test_overlong(void) {
    for (int64_t tokens = 0; tokens < 30; tokens++) {
        const struct reward_input input = {
            .tokens = tokens, .overlong_from = 12, .overlong_to = 20};
        const double want = tokens <= 12 ? 0 : tokens <= 20 ? (12.0 - (double)tokens) / 8 : -1;
        CHECK_NEAR(reward_overlong.score(&input), want, 1e-15);
    }
}

/* `prefix`, many times `part`, `suffix`: both rewards within a second for four megabytes. */
static void check_hostile(const char *prefix, const char *part, const char *suffix, double format,
                          double answer) {
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(strbuf_append_text(&text, prefix));
    while (text.length < 4000000 && part[0] != '\0')
        CHECK_OK(strbuf_append_text(&text, part));
    CHECK_OK(strbuf_append_text(&text, suffix));
    const double begin = clock_now_s();
    CHECK_NEAR(score_bytes("format", text.text, text.length, "7"), format, 0);
    CHECK_NEAR(score_bytes("answer", text.text, text.length, "7"), answer, 0);
    const double spent = clock_now_s() - begin;
    if (spent > 1)
        CHECK_FAILED("\"%s%s…\" took %.1f s", prefix, part, spent);
    strbuf_release(&text);
}

static void test_hostile(void) {
    check_hostile("", "<", "", 0, 0);
    check_hostile("", "<answer>", "7</answer>", 0.25, 1);
    check_hostile("<think>", "</answer>", "", 0.5, 0);
    check_hostile("", "<answer>7</answer>", "", 0.25, 1);
    check_hostile("<think>", "<answe", "</think><answer>7</answer>", 1, 1);
    check_hostile("<think></think>", "\xE2\x80\x83", "<answer>7</answer>", 1, 1);
    check_hostile("<think></think><answer>", " ", "7</answer>", 1, 1);
    check_hostile("<think></think><answer>", "0", "7</answer>", 1, 1);
    check_hostile("<think></think><answer>7.", "0", "</answer>", 1, 1);
    check_hostile("<think></think><answer>7e", "0", "</answer>", 1, 1);
    check_hostile("<think></think><answer>7e", "9", "</answer>", 1, 0);
    check_hostile("<think></think><answer>1", ",000", "</answer>", 1, 0);
}

static void test_registry(void) {
    static const char *const order[] = {"format",   "answer",  "math",  "length",
                                        "overlong", "program", "plugin"};
    int count;
    const struct reward_rule *const *rules = reward_list(&count);
    CHECK_EQ(count, 7);
    for (int i = 0; i < count; i++)
        CHECK(strcmp(rules[i]->name, order[i]) == 0 && reward_find(order[i]) == rules[i]);
    CHECK(reward_find("maths") == NULL);
}

int main(void) {
    test_registry();
    test_format();
    test_answer();
    test_math();
    test_length();
    test_overlong();
    test_hostile();
    return CHECK_END();
}
