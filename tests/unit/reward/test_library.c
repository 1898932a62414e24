/* SPDX-License-Identifier: Apache-2.0
 *
 * Rewards in shared objects: the example of input/rewards, and objects that are no good.
 */
#include "reward/library.h"

#include "base/memory.h"
#include "check.h"

static struct reward_input input_of(const char *text, const char *reference) {
    return (struct reward_input){.text = text,
                                 .length = strlen(text),
                                 .reference = reference,
                                 .reference_length = strlen(reference),
                                 .prompt = "p",
                                 .prompt_length = 1,
                                 .finish_reason = "stop",
                                 .tokens = 3,
                                 .max_new_tokens = 7,
                                 .group = 5};
}

static double grade(struct reward_library *library, const char *text, const char *reference) {
    const struct reward_input input = input_of(text, reference);
    double score = -1;
    CHECK_OK(reward_library_grade(library, &input, &score));
    return score;
}

static void test_example(void) {
    struct reward_library *library;
    CHECK_OK(reward_library_open(&library, REWARD_EXAMPLE, ""));
    CHECK_NEAR(grade(library, "the cat  sat\n", "cat sat down the"), 0.75, 0);
    CHECK_NEAR(grade(library, "", ""), 0, 0);
    reward_library_close(&library);
    CHECK_OK(reward_library_open(&library, REWARD_EXAMPLE, "length"));
    CHECK_NEAR(grade(library, "", ""), 3.0 / 7.0, 0);
    reward_library_close(&library);
    CHECK(library == NULL);
    CHECK_STATUS(reward_library_open(&library, REWARD_EXAMPLE, "lengths"), STATUS_REWARD,
                 "cannot be opened: 'arguments = \\\"lengths\\\": there is length, and nothing'");
}

static void refuse(const char *path, const char *arguments, enum status status, const char *words) {
    struct reward_library *library;
    CHECK_STATUS(reward_library_open(&library, path, arguments), status, words);
    CHECK(library == NULL);
}

static void test_refusals(void) {
    refuse("/no/such.so", "", STATUS_INPUT, "cannot be loaded: '/no/such.so");
    refuse("CMakeLists.txt", "", STATUS_INPUT, "cannot be loaded");
    refuse(REWARD_BROKEN "1.so", "", STATUS_INPUT, "exports no gradus_reward_plugin");
    refuse(REWARD_BROKEN "2.so", "", STATUS_INPUT,
           "made for version 2 of src/reward/plugin.h, and this program has version 1");
    refuse(REWARD_BROKEN "3.so", "", STATUS_INPUT, "no function grade");
    refuse(REWARD_BROKEN "4.so", "refuse", STATUS_REWARD, "cannot be opened: 'no licence'");
}

static void fail(struct reward_library *library, const char *text, const char *words) {
    const struct reward_input input = input_of(text, "");
    double score;
    CHECK_STATUS(reward_library_grade(library, &input, &score), STATUS_REWARD, words);
}

static void test_failures(void) {
    struct reward_library *library;
    CHECK_OK(reward_library_open(&library, REWARD_BROKEN "4.so", ""));
    CHECK_NEAR(grade(library, "four", ""), 4, 0);
    fail(library, "bad", "cannot grade an answer: 'a bad text of group 5'");
    fail(library, "silent", "cannot grade an answer and does not say why");
    fail(library, "nan", "not finite");
    fail(library, "never", "not finite"); /* the reward is never given */
    reward_library_close(&library);
}

int main(void) {
    test_example();
    test_refusals();
    test_failures();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
