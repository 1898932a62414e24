/* SPDX-License-Identifier: Apache-2.0
 *
 * What is given without effect is told, what has an effect is not, and the conditions that say so
 * name words that exist.
 */
#include "config/parameter.h"

#include "base/strbuf.h"
#include "check.h"

#define NEEDED                                                                                     \
    "run:{directory=\"r\";steps=10;};model:{path=\"m\";};"                                         \
    "data:{train=({path=\"d\";prompt=\"p\";answer=\"a\";});};\n"

static struct strbuf told;
static int count;

static void tell(const char *sentence) {
    CHECK_OK(strbuf_append_format(&told, "%s\n", sentence));
    count++;
}

static void check(const char *rest, int want, const char *words) {
    struct strbuf text = STRBUF_EMPTY;
    struct settings s;
    strbuf_clear(&told);
    count = 0;
    CHECK_OK(strbuf_append_format(&text, "%s%s", NEEDED, rest));
    CHECK_OK(
        settings_read_text("x.cfg", text.text, text.length, NULL, 0, SETTINGS_FOR_TRAINING, &s));
    CHECK_OK(settings_unused(&s, tell));
    if (count != want || strstr(strbuf_text(&told), words) == NULL)
        CHECK_FAILED("%s: told %d, expected %d with \"%s\": %s", rest, count, want, words,
                     strbuf_text(&told));
    strbuf_release(&text);
    settings_release(&s);
}

static void cases(void) {
    check("", 0, "");
    check("objective:{tau_pos=5.0;};", 1,
          "x.cfg:2: objective.tau_pos has no effect: it matters only where objective.gate is "
          "sigmoid, erf, arctan or softsign, and it is \"clip\"");
    check("objective:{gate=\"erf\";tau_pos=5.0;tau_neg=6.0;};", 0, "");
    check("objective:{gate=\"erf\";clip_dual=3.0;};", 1, "objective.clip_dual");
    check("objective:{gate=\"none\";tau_neg=6.0;};", 1, "and it is \"none\"");
    check("objective:{gate=\"erf\";tau_control=\"eur\";eur_target=0.8;tau_scale_end=2;};"
          "update:{mini_batches=2;};",
          1, "objective.tau_scale_end has no effect: it matters only where objective.tau_control");
    check("objective:{eur_target=0.8;};", 1, "objective.eur_target has no effect");
    check("objective:{tau_pos=10.0;};", 0, ""); /* the default, as in settings.cfg */
    check("objective:{kl_in=\"reward\";};", 1, "objective.kl_coef is above 0, and it is 0.0");
    check("objective:{kl_in=\"reward\";kl_coef=0.1;};", 0, "");
    check("adversarial:{d_step=\"own\";};", 1, "adversarial.d_step has no effect");
    check("prompt:{chat=\"chatml\";thinking=false;};", 1, "prompt.chat is auto or qwen3");
}

/* A weight in a loss of which Adam sees the direction alone. */
static void game(const char *step, const char *scale, const char *scale_in, int want) {
    char overrides[7][64] = {"run.method=adversarial", "data.train=()",
                             "data.corpus=({path=\"c\";text=\"t\";})", "prompt.template={text}"};
    char *words[7];
    struct settings s;
    snprintf(overrides[4], sizeof overrides[4], "adversarial.d_step=%s", step);
    snprintf(overrides[5], sizeof overrides[5], "adversarial.d_scale=%s", scale);
    snprintf(overrides[6], sizeof overrides[6], "adversarial.d_scale_in=%s", scale_in);
    for (int i = 0; i < 7; i++)
        words[i] = overrides[i];
    count = 0;
    strbuf_clear(&told);
    CHECK_OK(
        settings_read_text("x.cfg", NEEDED, strlen(NEEDED), words, 7, SETTINGS_FOR_TRAINING, &s));
    CHECK_OK(settings_unused(&s, tell));
    CHECK_EQ(count, want);
    CHECK(want == 0 || strstr(strbuf_text(&told), "adversarial.d_scale = 30 is hardly seen beside "
                                                  "adversarial.d_step = \"own\"") != NULL);
    settings_release(&s);
}

/* With sft the whole of the drawing and of the gate is idle. */
static void sft(void) {
    char *overrides[] = {"run.method=sft",
                         "objective.gate=erf",
                         "objective.tau_pos=5",
                         "rollout.group_size=4",
                         "rollout.stop=[\"x\"]",
                         "reward.parts=({name=\"length\";})",
                         "objective.aggregation=token_mean"};
    struct settings s;
    count = 0;
    strbuf_clear(&told);
    CHECK_OK(settings_read_text("x.cfg", NEEDED, strlen(NEEDED), overrides, 7,
                                SETTINGS_FOR_TRAINING, &s));
    CHECK_OK(settings_unused(&s, tell));
    CHECK_EQ(count, 5);
    CHECK(strstr(told.text, "command line: objective.tau_pos has no effect: it matters only where "
                            "run.method is rl or adversarial, and it is \"sft\"") != NULL);
    CHECK(strstr(told.text, "aggregation") == NULL);
    settings_release(&s);
}

static void conditions(void) {
    for (int i = 0; i < parameter_condition_count; i++) {
        const struct parameter_condition *const c = &parameter_conditions[i];
        const struct parameter *const other = &parameter_table[c->other];
        CHECK(c->parameter != c->other);
        if (other->kind != PARAMETER_CHOICE) {
            CHECK(other->kind == PARAMETER_REAL || other->kind == PARAMETER_INT);
            CHECK_TEXT(c->words, "above 0");
            continue;
        }
        char words[128], *word = words;
        snprintf(words, sizeof words, "%s ", c->words);
        for (char *end; (end = strchr(word, ' ')) != NULL; word = end + 1) {
            *end = '\0';
            if (parameter_word_find(other, word) < 0)
                CHECK_FAILED("%s has no word %s", other->name, word);
        }
    }
}

int main(void) {
    cases();
    sft();
    game("own", "30", "loss", 1);
    game("own", "1", "loss", 0);
    game("own", "30", "reward", 0);
    game("shared", "30", "loss", 0);
    conditions();
    strbuf_release(&told);
    return CHECK_END();
}
