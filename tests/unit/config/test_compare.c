/* SPDX-License-Identifier: Apache-2.0
 *
 * What two settings do not share is told, parameter by parameter, with what a run that goes on may
 * change; every line of settings.def says which of the two it is.
 */
#include "config/parameter.h"

#include <stdio.h>

#include "check.h"

static const char plain[] = "run:{directory=\"r\";steps=10;};model:{path=\"m\";};"
                            "data:{train=({path=\"d\";prompt=\"p\";answer=\"a\";});};";

static void read_settings(struct settings *settings, const char *a, const char *b) {
    char texts[2][256];
    snprintf(texts[0], sizeof texts[0], "%s", a != NULL ? a : "");
    snprintf(texts[1], sizeof texts[1], "%s", b != NULL ? b : "");
    char *overrides[] = {texts[0], texts[1]};
    CHECK_OK(settings_read_text("x.cfg", plain, strlen(plain), overrides, (a != NULL) + (b != NULL),
                                SETTINGS_FOR_TRAINING, settings));
}

/* "name before now may;" for each difference. */
static enum status note(void *context, const struct settings_difference *difference) {
    return strbuf_append_format(context, "%s %s %s %s;", difference->name, difference->before,
                                difference->now, difference->may_change ? "may" : "must not");
}

static void check_differences(const char *a, const char *b, const char *expected) {
    struct settings before, now;
    struct strbuf text = STRBUF_EMPTY;
    read_settings(&before, NULL, NULL);
    read_settings(&now, a, b);
    CHECK_OK(settings_compare(&before, &now, note, &text));
    CHECK_TEXT(strbuf_text(&text), expected);
    strbuf_release(&text);
    settings_release(&before);
    settings_release(&now);
}

static void test_differences(void) {
    check_differences(NULL, NULL, "");
    check_differences("run.steps=10", "run.seed=0", "");
    check_differences("run.steps=20", "run.seed=1", "run.steps 10 20 may;run.seed 0 1 must not;");
    check_differences("optimizer.learning_rate=0.000001", NULL, "");
    check_differences("optimizer.learning_rate=1.0000000000000004e-6", NULL,
                      "optimizer.learning_rate 1e-06 1.0000000000000004e-06 "
                      "must not;");
    check_differences("prompt.system=x", "objective.gate=erf",
                      "prompt.system  \"x\" must not;objective.gate \"clip\" \"erf\" must not;");
    check_differences("objective.level=sequence", NULL,
                      "objective.clip_low 0.2 0.0003 must not;"
                      "objective.clip_high 0.2 0.0004 must not;"
                      "objective.level \"token\" \"sequence\" must not;");
}

static void test_records(void) {
    struct settings before, now;
    struct strbuf text = STRBUF_EMPTY;
    read_settings(&before, "data.train=({path=\"/d\";prompt=\"p\";answer=\"a\";})", NULL);
    read_settings(&now, "data.train=({path=\"/e\";prompt=\"p\";answer=\"b\";})", NULL);
    CHECK_OK(settings_compare(&before, &now, note, &text));
    CHECK_TEXT(strbuf_text(&text), "data.train[0].path \"/d\" \"/e\" may;"
                                   "data.train[0].answer \"a\" \"b\" must not;");
    settings_release(&now);
    strbuf_clear(&text);
    read_settings(&now, "reward.parts=({name=\"answer\";})", NULL);
    CHECK_OK(settings_compare(&before, &now, note, &text));
    CHECK(strstr(strbuf_text(&text), ";reward.parts ( { name = \"format\"") != NULL);
    settings_release(&before);
    settings_release(&now);
    strbuf_release(&text);
}

static void check_declared(const struct parameter *parameter) {
    const int says = parameter->flags & (PARAMETER_FIXED | PARAMETER_FREE);
    char name[PARAMETER_NAME_MAX];
    if (says != PARAMETER_FIXED && says != PARAMETER_FREE)
        CHECK_FAILED("%s must say one of FIXED and FREE", parameter_full_name(parameter, name));
    for (int f = 0; f < parameter->field_count; f++)
        check_declared(&parameter->fields[f]);
}

int main(void) {
    for (int i = 0; i < SETTINGS_COUNT; i++)
        check_declared(&parameter_table[i]);
    test_differences();
    test_records();
    return CHECK_END();
}
