/* SPDX-License-Identifier: Apache-2.0
 *
 * Each parameter of an update rule reaches it; what follows from other choices, and what is refused.
 */
#include "run/rule.h"

#include "check.h"

static const char text[] = "model:{path=\"m\";};";

static enum status read(struct settings *settings, char *const *words, int count) {
    return settings_read_text("x.cfg", text, strlen(text), words, count, SETTINGS_FOR_GENERATION,
                              settings);
}

#define READ(settings, ...)                                                                        \
    read((settings), (char *const[]){__VA_ARGS__},                                                 \
         (int)(sizeof((char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void test_each(void) {
    struct settings settings;
    CHECK_OK(READ(
        &settings, "update.rule=gxpo", "update.virtual_steps=7", "update.reposition=0.25",
        "update.activity=0.125", "update.activity_kind=relative", "update.ratio_limit=[-1.5,2.5]",
        "update.scale_limit=[0.5,6.5]", "update.overshoot_guard=true", "update.retention=adamw",
        "update.optimizer_state=transactional", "update.shutoff_threshold=3.5",
        "update.shutoff_window=17", "update.shutoff_warmup=23", "update.shutoff_patience=3",
        "update.shutoff_std_floor=0.01", "update.shutoff_sides=two",
        "update.shutoff_inclusive=true", "update.shutoff_rearm=9"));
    const struct update_settings s = rule_settings(&settings);
    CHECK_EQ(s.ahead.how.steps, 7);
    CHECK_NEAR(s.ahead.how.reposition, 0.25, 0);
    CHECK_NEAR(s.ahead.activity, 0.125, 0);
    CHECK_NEAR(s.ahead.how.ratio_least, -1.5, 0);
    CHECK_NEAR(s.ahead.how.ratio_most, 2.5, 0);
    CHECK_NEAR(s.ahead.how.scale_least, 0.5, 0);
    CHECK_NEAR(s.ahead.how.scale_most, 6.5, 0);
    CHECK(s.ahead.relative && s.ahead.how.guarded && s.ahead.directions);
    CHECK(s.transactional && s.ahead.leaves_state);
    CHECK_NEAR(s.shutoff.threshold, 3.5, 0);
    CHECK_EQ(s.shutoff.window, 17);
    CHECK_EQ(s.shutoff.warmup, 23);
    CHECK_EQ(s.shutoff.patience, 3);
    CHECK_NEAR(s.shutoff.std_floor, 0.01, 0);
    CHECK(s.shutoff.two_sided && s.shutoff.inclusive);
    CHECK_EQ(s.shutoff.rearm, 9);
    settings_release(&settings);
}

static void test_defaults(void) {
    struct settings settings;
    CHECK_OK(READ(&settings, "update.rule=gxpo", "update.virtual_steps=10"));
    struct update_settings s = rule_settings(&settings);
    CHECK_NEAR(s.ahead.how.scale_most, 6, 0);
    CHECK_NEAR(s.ahead.how.reposition, 0.5, 0);
    CHECK_NEAR(s.ahead.activity, 1e-8, 0);
    CHECK(!s.ahead.relative && !s.ahead.directions && !s.transactional && !s.shutoff.inclusive);
    CHECK_EQ(s.shutoff.warmup, 30);
    CHECK_NEAR(s.shutoff.threshold, 2, 0);
    settings_release(&settings);
    CHECK_OK(READ(&settings, "update.rule=gxpo", "update.retention=adamw"));
    s = rule_settings(&settings);
    CHECK(s.ahead.relative);
    CHECK_NEAR(s.ahead.activity, 1e-3, 0);
    CHECK_NEAR(s.ahead.how.scale_most, 2.5, 0);
    settings_release(&settings);
    CHECK_OK(READ(&settings, "update.rule=gxpo", "update.retention=adamw",
                  "update.activity_kind=absolute"));
    s = rule_settings(&settings);
    CHECK(!s.ahead.relative);
    CHECK_NEAR(s.ahead.activity, 1e-8, 0);
    settings_release(&settings);
    CHECK_OK(READ(&settings, "update.rule=sfpo"));
    s = rule_settings(&settings);
    CHECK_NEAR(s.ahead.how.reposition, 0.8, 0);
    CHECK_NEAR(s.shutoff.threshold, 1, 0);
    CHECK(s.shutoff.inclusive);
    settings_release(&settings);
    CHECK_OK(READ(&settings, "update.rule=sfpo", "update.shutoff_inclusive=false",
                  "update.reposition=0.9"));
    s = rule_settings(&settings);
    CHECK_NEAR(s.ahead.how.reposition, 0.9, 0);
    CHECK(!s.shutoff.inclusive);
    settings_release(&settings);
}

#define REFUSED(words, ...) CHECK_STATUS(READ(&settings, __VA_ARGS__), STATUS_INPUT, words)

static void test_pairs(void) {
    struct settings settings;
    REFUSED("update.ratio_limit is a list of another length; it takes two reals",
            "update.ratio_limit=[1.0,2.0,3.0]");
    REFUSED("update.ratio_limit is a real; it takes two reals, as [ 0.5, 2.0 ]",
            "update.ratio_limit=1.5");
    REFUSED("update.ratio_limit holds a text; its two elements are reals",
            "update.ratio_limit=(\"a\",1.0)");
    REFUSED("update.ratio_limit = [ 2, 1 ] is no range: the lower bound is first",
            "update.ratio_limit=[2.0,1.0]");
    REFUSED("= 1e+31 is too large; the most is 1e+30", "update.scale_limit=[0.0,1e31]");
}

int main(void) {
    test_each();
    test_defaults();
    test_pairs();
    return CHECK_END();
}
