/* SPDX-License-Identifier: Apache-2.0
 *
 * The preset of the adversarial game: what it sets, and that what the input says besides wins.
 */
#include "check.h"
#include "config/settings.h"

static const char input[] = "run : { directory = \"r\"; steps = 1; method = \"adversarial\"; };\n"
                            "model = { path = \"m\"; };\n"
                            "data : { corpus = ( { path = \"x\"; text = \"t\"; } ); };\n";

static enum status read_with(struct settings *s, char *const *overrides, int count) {
    return settings_read_text("x.cfg", input, sizeof input - 1, overrides, count,
                              SETTINGS_FOR_TRAINING, s);
}

static void preset(void) {
    struct settings s;
    char *crumb[] = {"adversarial.preset=crumb"};
    CHECK_OK(read_with(&s, crumb, 1));
    CHECK_EQ(s.prompt.chat, SETTING_CHAT_NONE);
    CHECK(strncmp(s.prompt.template, "<|im_start|>system\n", 19) == 0);
    CHECK(strstr(s.prompt.template, "<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n"
                                    "<|im_start|>assistant\n<think>\n") != NULL);
    CHECK_TEXT(settings_origin(&s, "prompt.template"), "derived from adversarial.preset");
    CHECK_TEXT(settings_origin(&s, "prompt.chat"), "derived from adversarial.preset");
    settings_release(&s);
    CHECK_OK(read_with(&s, NULL, 0));
    CHECK_EQ(s.prompt.chat, SETTING_CHAT_AUTO);
    CHECK_TEXT(s.prompt.template, "{prompt}");
    settings_release(&s);
}

static void input_wins(void) {
    struct settings s;
    char *given[] = {"adversarial.preset=crumb", "prompt.template=On: {text}",
                     "prompt.chat=chatml"};
    CHECK_OK(read_with(&s, given, 2));
    CHECK_EQ(s.prompt.chat, SETTING_CHAT_NONE);
    CHECK_TEXT(s.prompt.template, "On: {text}");
    settings_release(&s);
    CHECK_OK(read_with(&s, given, 3));
    CHECK_EQ(s.prompt.chat, SETTING_CHAT_CHATML);
    settings_release(&s);
}

int main(void) {
    preset();
    input_wins();
    return CHECK_END();
}
