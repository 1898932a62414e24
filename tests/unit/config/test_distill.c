/* SPDX-License-Identifier: Apache-2.0
 *
 * Presets of self-distillation: what they set, and that what the input says besides wins; what
 * contradicts itself is refused.
 */
#include "check.h"
#include "config/settings.h"

static const char input[] =
    "run : { directory = \"r\"; steps = 1; method = \"opsd\"; };\n"
    "model = { path = \"m\"; };\n"
    "data : { train = ( { path = \"x\"; prompt = \"q\"; answer = \"a\"; } ); };\n";

static enum status read_with(struct settings *s, char *const *overrides, int count) {
    return settings_read_text("x.cfg", input, sizeof input - 1, overrides, count,
                              SETTINGS_FOR_TRAINING, s);
}

static void presets(void) {
    struct settings s;
    char *march18[] = {"distill.preset=march18"};
    CHECK_OK(read_with(&s, march18, 1));
    CHECK_EQ(s.distill.divergence, SETTING_DIVERGENCE_FORWARD_KL);
    CHECK_NEAR(s.distill.clip, 0.05, 0);
    CHECK(!s.prompt.thinking && s.distill.teacher_thinking);
    CHECK_TEXT(s.prompt.template,
               "Problem: {prompt}\n\nPlease reason step by step, and put your final answer within "
               "\\boxed{}.");
    CHECK(strstr(s.distill.teacher_template,
                 "Problem: {prompt}\n\nHere is a reference solution to this problem:\n"
                 "=== Reference Solution Begin ===\n{solution}\n=== Reference Solution End ===\n"
                 "\n\nAfter reading the reference solution above") != NULL);
    CHECK(strstr(s.distill.teacher_template, SETTINGS_REASON) == NULL);
    CHECK_EQ(s.rollout.group_size, 1);
    CHECK_EQ(s.rollout.max_new_tokens, 2048);
    CHECK_TEXT(settings_origin(&s, "distill.clip"), "derived from distill.preset");
    settings_release(&s);
    char *v1[] = {"distill.preset=v1", "distill.reason_first=true"};
    CHECK_OK(read_with(&s, v1, 2));
    CHECK_EQ(s.distill.divergence, SETTING_DIVERGENCE_JSD);
    CHECK_NEAR(s.distill.clip, 0.0, 0);
    CHECK(s.prompt.thinking && s.distill.teacher_thinking);
    CHECK(strstr(s.distill.teacher_template, SETTINGS_REASON) != NULL);
    settings_release(&s);
}

static void input_wins(void) {
    struct settings s;
    char *given[] = {"distill.preset=march18",      "distill.clip=0.06",
                     "prompt.template=Q {prompt}",  "prompt.thinking=true",
                     "distill.divergence=jsd",      "distill.teacher_thinking=false",
                     "rollout.max_new_tokens=1024", "distill.teacher_template={prompt} {solution}"};
    CHECK_OK(read_with(&s, given, 8));
    CHECK_NEAR(s.distill.clip, 0.06, 0);
    CHECK_TEXT(s.prompt.template, "Q {prompt}");
    CHECK_TEXT(s.distill.teacher_template, "{prompt} {solution}");
    CHECK(s.prompt.thinking && !s.distill.teacher_thinking);
    CHECK_EQ(s.distill.divergence, SETTING_DIVERGENCE_JSD);
    CHECK_EQ(s.rollout.max_new_tokens, 1024);
    settings_release(&s);
}

static void refuse(char *first, char *second, const char *words) {
    struct settings s;
    char *given[] = {first, second};
    CHECK_STATUS(read_with(&s, given, 2), STATUS_INPUT, words);
}

static void refusals(void) {
    char *preset = "distill.preset=v1";
    refuse("distill.clip=1", "distill.teacher=ema", "needs distill.teacher_template");
    refuse("distill.clip=1", "distill.teacher_template={solution}", "does not hold {prompt}");
    refuse("distill.reason_first=true", "distill.teacher_template={prompt}{solution}",
           "does not hold {reason}");
    refuse("distill.clip=1", "distill.teacher_template={prompt}{reason}", "holds {reason}");
    refuse("distill.reason_first=true", "distill.teacher_template={prompt}{reason}{solution}",
           "another placeholder behind {reason}");
    char *sampled[] = {preset, "distill.estimator=sampled", "distill.clip=0.1"};
    char *moving[] = {preset, "distill.teacher=live", "update.rule=gxpo"};
    char *conversation[] = {preset, "data.train=({path=\"x\";messages=\"m\";})"};
    struct settings s;
    CHECK_STATUS(read_with(&s, sampled, 3), STATUS_INPUT, "distill.clip has no meaning beside it");
    CHECK_STATUS(read_with(&s, moving, 3), STATUS_INPUT, "a teacher that moves with each step");
    CHECK_STATUS(read_with(&s, conversation, 2), STATUS_INPUT, "reads a prompt and its solution");
}

int main(void) {
    presets();
    input_wins();
    refusals();
    return CHECK_END();
}
