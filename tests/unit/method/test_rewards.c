/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of rewards reach the rules, and names that nobody knows are refused.
 */
#include "method/rewards.h"

#include "check.h"

static void open_settings(struct settings *settings, const char *reward) {
    char text[1024];
    const int n = snprintf(text, sizeof text,
                           "model : { path = \"m\"; };\nrollout : { max_new_tokens = 12; };\n"
                           "reward : { %s };\n",
                           reward);
    CHECK_OK(
        settings_read_text("x.cfg", text, (size_t)n, NULL, 0, SETTINGS_FOR_GENERATION, settings));
}

/* Rewards of a text by these settings. */
static void reward_text(const char *reward, const char *text, const char *reference,
                        struct rollout_answer *answer) {
    struct settings settings;
    open_settings(&settings, reward);
    struct rewards *rewards;
    struct strbuf its = STRBUF_EMPTY;
    *answer = (struct rollout_answer){.n = 3};
    CHECK_OK(rewards_open(&rewards, &settings, 0, 1));
    CHECK_OK(strbuf_append_text(&answer->text, text));
    CHECK_OK(strbuf_append_text(&its, reference));
    const struct rewards_item item = {.answer = answer, .prompt = &its, .reference = &its};
    CHECK_OK(rewards_grade(rewards, &item, 1, NULL));
    rewards_close(&rewards);
    strbuf_release(&its);
    strbuf_release(&answer->text);
    settings_release(&settings);
}

static double math_of(const char *more, const char *text, const char *reference) {
    char reward[512];
    struct rollout_answer answer;
    snprintf(reward, sizeof reward, "parts = ( { name = \"math\"; weight = 2.0; } ); %s", more);
    reward_text(reward, text, reference, &answer);
    CHECK_NEAR(answer.reward, 2 * answer.parts[0], 0);
    return answer.parts[0];
}

static void test_math(void) {
    static const char text[] = "<answer>0.3333</answer> no, \\boxed{\\frac24} or 7";
    CHECK_NEAR(math_of("", text, "1/2"), 1, 0);
    CHECK_NEAR(math_of("math_places = ( \"last\", \"boxed\" );", text, "1/2"), 0, 0);
    CHECK_NEAR(math_of("math_places = ( \"last\", \"boxed\" );", text, "7"), 1, 0);
    CHECK_NEAR(math_of("math_places = ( \"block\" );", text, "1/3"), 0, 0);
    CHECK_NEAR(math_of("math_places = ( \"block\" ); math_tolerance = 1e-3;", text, "1/3"), 1, 0);
}

/* A part's value is scaled, then cut, then weighted in the sum; three tokens of twelve. */
static void test_scale(void) {
    static const struct {
        const char *more;
        double part;
    } cases[] = {{"", 0.25},
                 {"scale = 2.0;", 0.5},
                 {"scale = -6.0;", -1.5},
                 {"scale = 6.0; clip = 1.25;", 1.25},
                 {"scale = -6.0; clip = 1.25;", -1.25},
                 {"clip = 0.3;", 0.25}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char reward[256];
        struct rollout_answer answer;
        snprintf(reward, sizeof reward, "parts = ( { name = \"length\"; weight = 3.0; %s } );",
                 cases[i].more);
        reward_text(reward, "abc", "", &answer);
        CHECK_NEAR(answer.parts[0], cases[i].part, 1e-15);
        CHECK_NEAR(answer.reward, 3 * cases[i].part, 1e-15);
    }
}

static void test_overlong(void) {
    struct rollout_answer answer;
    reward_text("parts = ( { name = \"overlong\"; } ); overlong_from = 2;", "abc", "", &answer);
    CHECK_NEAR(answer.parts[0], -0.1, 1e-15); /* 12 is rollout.max_new_tokens */
    reward_text("parts = ( { name = \"overlong\"; } ); overlong_from = 1; overlong_to = 5;", "abc",
                "", &answer);
    CHECK_NEAR(answer.parts[0], -0.5, 1e-15);
}

/* The rules look for tags of these names alone. */
static void test_tags(void) {
    static const char usual[] = "<think>a</think><answer>7</answer>",
                      named[] = "<plan>a</plan><solution>7</solution>",
                      parts[] = "parts = ( { name = \"format\"; }, { name = \"answer\"; }, "
                                "{ name = \"math\"; } ); math_places = ( \"block\" ); ";
    char reward[512];
    struct rollout_answer answer;
    reward_text(parts, usual, "7", &answer);
    CHECK_NEAR(answer.reward, 3, 0);
    snprintf(reward, sizeof reward, "%sthink_tag = \"plan\"; answer_tag = \"solution\";", parts);
    reward_text(reward, named, "7", &answer);
    CHECK_NEAR(answer.reward, 3, 0);
    reward_text(reward, usual, "7", &answer);
    CHECK_NEAR(answer.reward, 0, 0);
}

static void refuse(const char *reward, const char *words) {
    struct settings settings;
    open_settings(&settings, reward);
    CHECK_STATUS(rewards_check(&settings), STATUS_INPUT, words);
    settings_release(&settings);
}

static void test_refusals(void) {
    refuse("math_places = ( \"boxed\", \"box\" );", "reward.math_places: 'box'");
    refuse("math_places = ( \"last\", \"last\", \"last\", \"last\", \"last\", \"last\" );",
           "there are 5");
    refuse("parts = ( { name = \"overlong\"; } ); overlong_from = 12;",
           "overlong_from = 12 is not below");
    refuse("parts = ( { name = \"overlong\"; } ); overlong_from = 5; overlong_to = 5;", "length 5");
    refuse("think_tag = \"a b\";", "reward.think_tag: 'a b' is no name");
    refuse("answer_tag = \"</x>\";", "reward.answer_tag: '</x>'");
    refuse("think_tag = \"answer\";", "both 'answer'");
    refuse("parts = ( { name = \"maths\"; } );", "no rule is called 'maths'");
    refuse("parts = ( { name = \"math\"; }, { name = \"math\"; } );", "twice");
    refuse("parts = ( { name = \"external\"; } );", "it is called program here");
    refuse("parts = ( { name = \"program\"; } );", "lacks program, the file to run");
    refuse("parts = ( { name = \"program\"; program = \"no-such\"; } );", "cannot be found");
    refuse("parts = ( { name = \"program\"; program = \"/bin/sh\"; library = \"x\"; } );",
           "here stand beside program");
    refuse("parts = ( { name = \"plugin\"; } );", "lacks library, the shared object");
    refuse("parts = ( { name = \"format\"; arguments = \"x\"; } );", "here stand beside format");
}

int main(void) {
    test_math();
    test_scale();
    test_tags();
    test_overlong();
    test_refusals();
    return CHECK_END();
}
