/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written can be read again: dump, read, dump gives the same text, the reference file holds
 * exactly the defaults, and every parameter has its page.
 */
#include "config/parameter.h"

#include "check.h"

static const char *const plain = "run:{directory=\"r\";steps=10;};model:{path=\"m\";};"
                                 "data:{train=({path=\"d\";prompt=\"p\";answer=\"a\";});};";

static char *const hard[] = {
    "optimizer.learning_rate=0.1234567890123456789",
    "optimizer.epsilon=4.9406564584124654e-30",
    "optimizer.max_grad_norm=1e30",
    "optimizer.weight_decay=0.30000000000000004",
    "rollout.temperature=7",
    "run.seed=9223372036854775807",
    "prompt.system=tab\t quote \" back \\ new\nline \x01\x7f é 数 # // /* \\n \\frac \\neq \neq "
    "\nu\tan\rho\x0c"
    "rac",
    "prompt.template={prompt}@include \"x\"",
    "rollout.stop=[\"\\\"\", \"\\\\\", \"\\n\"]",
    ("data.train=({path=\"a b\";prompt=\"#\";answer=\"};\";weight=1e-9;},"
     "{path=\"c\";prompt=\"p\";answer=\"a\";where=\"x == \\\"y\\\"\";})"),
    "objective.level=sequence",
    "eval.samples=3",
    "eval.pass_at=[3,2]",
    "eval.sets=({name=\"x\";path=\"d\";prompt=\"p\";answer=\"a\";limit=5;})",
};

static enum status read_again(const struct strbuf *text, struct settings *settings) {
    return settings_read_text("settings.cfg", text->text, text->length, NULL, 0,
                              SETTINGS_FOR_TRAINING, settings);
}

/* Takes what follows "  # " off each line that is not a comment by itself: the origins. */
static void drop_origins(char *text) {
    char *out = text;
    for (char *line = text; *line != '\0';) {
        char *const end = line + strcspn(line, "\n");
        char *const newline = *end == '\n' ? end + 1 : end;
        char *comment = end;
        for (char *c = line; c + 4 <= end; c++)
            if (strncmp(c, ";  # ", 5) == 0)
                comment = c;
        memmove(out, line, (size_t)(comment - line));
        out += comment - line;
        *out++ = '\n';
        line = newline;
    }
    *out = '\0';
}

static void round_trip(char *const *overrides, int count) {
    struct settings first, second, third;
    struct strbuf a = STRBUF_EMPTY, b = STRBUF_EMPTY, c = STRBUF_EMPTY;
    CHECK_OK(settings_read_text("x.cfg", plain, strlen(plain), overrides, count,
                                SETTINGS_FOR_TRAINING, &first));
    CHECK_OK(settings_dump(&first, &a));
    CHECK_OK(read_again(&a, &second));
    CHECK_OK(settings_dump(&second, &b));
    CHECK_OK(read_again(&b, &third));
    CHECK_OK(settings_dump(&third, &c));
    CHECK_TEXT(b.text, c.text);
    CHECK_NEAR(second.optimizer.learning_rate, first.optimizer.learning_rate, 0.0);
    CHECK_NEAR(second.optimizer.weight_decay, first.optimizer.weight_decay, 0.0);
    CHECK_NEAR(second.optimizer.epsilon, first.optimizer.epsilon, 0.0);
    CHECK_EQ(second.run.seed, first.run.seed);
    CHECK_TEXT(second.run.directory, first.run.directory);
    CHECK((first.prompt.system == NULL) == (second.prompt.system == NULL));
    if (first.prompt.system != NULL)
        CHECK_TEXT(second.prompt.system, first.prompt.system);
    drop_origins(a.text);
    drop_origins(b.text);
    CHECK_TEXT(a.text, b.text);
    strbuf_release(&a);
    strbuf_release(&b);
    strbuf_release(&c);
    settings_release(&first);
    settings_release(&second);
    settings_release(&third);
}

/* The reference with the needed parameters added gives what the needed ones alone give. */
static void reference(void) {
    char *const needed[] = {"run.directory=r", "run.steps=10", "model.path=m",
                            "data.train=({path=\"d\";prompt=\"p\";answer=\"a\";})"};
    struct strbuf text = STRBUF_EMPTY, a = STRBUF_EMPTY, b = STRBUF_EMPTY;
    struct settings from_reference, from_nothing;
    CHECK_OK(settings_reference(&text));
    CHECK_OK(settings_read_text("reference.cfg", text.text, text.length, needed, 4,
                                SETTINGS_FOR_TRAINING, &from_reference));
    CHECK_OK(
        settings_read_text("nothing.cfg", "", 0, needed, 4, SETTINGS_FOR_TRAINING, &from_nothing));
    CHECK_OK(settings_dump(&from_reference, &a));
    CHECK_OK(settings_dump(&from_nothing, &b));
    drop_origins(a.text);
    drop_origins(b.text);
    CHECK_TEXT(a.text, b.text);
    strbuf_release(&text);
    strbuf_release(&a);
    strbuf_release(&b);
    settings_release(&from_reference);
    settings_release(&from_nothing);
}

static void pages(void) {
    struct strbuf list = STRBUF_EMPTY;
    CHECK_OK(settings_help(NULL, &list));
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        char full[PARAMETER_NAME_MAX];
        struct strbuf page = STRBUF_EMPTY;
        parameter_full_name(&parameter_table[i], full);
        CHECK(strstr(list.text, full) != NULL);
        CHECK_OK(settings_help(full, &page));
        CHECK(strstr(page.text, parameter_table[i].sentence) != NULL);
        strbuf_release(&page);
    }
    strbuf_release(&list);
    struct strbuf page = STRBUF_EMPTY;
    CHECK_OK(settings_help("objective.gate", &page));
    CHECK_TEXT(page.text, "objective.gate\n"
                          "    how a token's term depends on the ratio of new to old probability\n"
                          "    one of clip, sigmoid, erf, arctan, softsign, none; default "
                          "\"clip\"; only where run.method is rl or adversarial\n");
    strbuf_clear(&page);
    CHECK_OK(settings_help("objective.tau_pos", &page));
    CHECK(strstr(page.text, "; only where objective.gate is sigmoid, erf, arctan or softsign\n") !=
          NULL);
    strbuf_clear(&page);
    CHECK_OK(settings_help("update", &page));
    CHECK(strstr(page.text, "update.iterations\n") != NULL);
    strbuf_release(&page);
}

/* Rows of the table: bounds hold the default, names are unique, groups stand together. */
static void table(void) {
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        const struct parameter *const p = &parameter_table[i];
        CHECK(parameter_find(p->group, p->name) == p);
        CHECK(parameter_group_find(p->group, strlen(p->group)) != NULL);
        CHECK(p->sentence[0] != '\0' && strchr(p->sentence, '\n') == NULL);
        if (p->kind == PARAMETER_REAL)
            CHECK(p->real >= p->real_least && p->real <= p->real_most);
        if (p->kind == PARAMETER_INT && (p->flags & PARAMETER_TRAINING) == 0)
            CHECK(p->integer >= p->integer_least && p->integer <= p->integer_most);
        if (p->kind == PARAMETER_CHOICE)
            CHECK(p->integer >= 0 && p->integer < p->word_count);
    }
}

int main(void) {
    round_trip(NULL, 0);
    round_trip(hard, sizeof hard / sizeof *hard);
    reference();
    pages();
    table();
    return CHECK_END();
}
