/* SPDX-License-Identifier: Apache-2.0
 *
 * A name that is not known is followed by advice that is true: what is declared names parameters,
 * words and fields that exist, nothing that is called planned exists already, and no name is offered
 * that only happens to be the nearest of all.
 */
#include "config/advice.h"

#include "check.h"

#define NEEDED                                                                                     \
    "run:{directory=\"r\";steps=10;};model:{path=\"m\";};"                                         \
    "data:{train=({path=\"d\";prompt=\"p\";answer=\"a\";});};"

static bool is_field(const struct parameter *records, const char *name) {
    for (int i = 0; i < records->field_count; i++)
        if (strcmp(records->fields[i].name, name) == 0)
            return true;
    return false;
}

static bool is_in(const char *group, const char *name) {
    for (int i = 0; i < SETTINGS_COUNT; i++)
        if (strcmp(parameter_table[i].group, group) == 0 &&
            strcmp(parameter_table[i].name, name) == 0)
            return true;
    return false;
}

/* Whether `word` is known where `place` looks; places of the command line and of rewards are not
 * known here, and have no names that mislead. */
static bool is_known(const char *place, const char *word) {
    const struct parameter *const of = parameter_find_full(place, strlen(place));
    if (strcmp(place, "group") == 0)
        return parameter_group_find(word, strlen(word)) != NULL;
    if (parameter_group_find(place, strlen(place)) != NULL)
        return parameter_find_full(word, strlen(word)) != NULL || is_in(place, word);
    if (strcmp(place, "parameter") == 0)
        return parameter_find_full(word, strlen(word)) != NULL;
    if (of == NULL)
        return false;
    return of->kind == PARAMETER_RECORDS ? is_field(of, word) : parameter_word_find(of, word) >= 0;
}

/* A parameter of any group; for the rows of "parameter", which name none. */
static bool is_name(const char *name) {
    for (int i = 0; i < SETTINGS_COUNT; i++)
        if (strcmp(parameter_table[i].name, name) == 0)
            return true;
    return false;
}

/* Every group.name in a sentence is a parameter, or a file or record. */
static void check_names(const char *sentence) {
    for (const char *at = sentence; *at != '\0';) {
        const size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789.");
        const char *const dot = memchr(at, '.', length);
        const bool group = dot != NULL && parameter_group_find(at, (size_t)(dot - at)) != NULL;
        if (group && parameter_find_full(at, length) == NULL)
            CHECK_FAILED("\"%s\" names %.*s, which is no parameter", sentence, (int)length, at);
        at += length > 0 ? length : 1;
    }
}

static void table(void) {
    for (int i = 0; i < advice_count; i++) {
        const struct advice *const a = &advice_table[i];
        const struct parameter *const of = parameter_find_full(a->place, strlen(a->place));
        CHECK(a->says[0] != '\0');
        for (const char *c = a->word; *c != '\0'; c++)
            if (*c == '-' || (*c >= 'A' && *c <= 'Z'))
                CHECK_FAILED("%s is never found: it is compared in small letters with _", a->word);
        if (is_known(a->place, a->word) || (strcmp(a->place, "parameter") == 0 && is_name(a->word)))
            CHECK_FAILED("%s of %s exists: its line in advice.def is out of date", a->word,
                         a->place);
        if (a->kind == ADVICE_CALLED && !is_known(a->place, a->says) &&
            strcmp(a->place, "reward.parts.name") != 0)
            CHECK_FAILED("%s of %s is said to be %s, which does not exist", a->word, a->place,
                         a->says);
        if (of == NULL && parameter_group_find(a->place, strlen(a->place)) == NULL)
            CHECK(strcmp(a->place, "group") == 0 || strcmp(a->place, "parameter") == 0 ||
                  strcmp(a->place, "reward.parts.name") == 0 || strcmp(a->place, "command") == 0 ||
                  strcmp(a->place, "train") == 0);
        check_names(a->says);
        for (int k = 0; k < i; k++)
            if (strcmp(advice_table[k].place, a->place) == 0 &&
                strcmp(advice_table[k].word, a->word) == 0)
                CHECK_FAILED("%s of %s is declared twice", a->word, a->place);
    }
}

static void check_override(char *override, const char *words) {
    struct settings s;
    char *overrides[] = {override};
    CHECK_STATUS(settings_read_text("x.cfg", NEEDED, strlen(NEEDED), overrides, 1,
                                    SETTINGS_FOR_TRAINING, &s),
                 STATUS_INPUT, words);
}

static void check_file(const char *rest, const char *words) {
    struct settings s;
    struct strbuf text = STRBUF_EMPTY;
    CHECK_OK(strbuf_append_format(&text, NEEDED "\n%s", rest));
    CHECK_STATUS(
        settings_read_text("x.cfg", text.text, text.length, NULL, 0, SETTINGS_FOR_TRAINING, &s),
        STATUS_INPUT, words);
    strbuf_release(&text);
}

static void sentences(void) {
    check_override("optimizer.lr=1", "unknown parameter optimizer.lr: it is called "
                                     "optimizer.learning_rate here");
    check_override("rollout.num-generations=8", "it is called rollout.group_size here");
    check_override("objective.kl_beta=0.1", "it is called objective.kl_coef here");
    check_override("objective.beta=0.1", "it is called objective.kl_coef here");
    check_override("objective.clip=0.2", "objective.clip_low and objective.clip_high bound");
    check_override("lora.r=8", "it is called lora.rank here");
    check_override("lora.Target-Modules=8", "it is called lora.targets here");
    check_override("rollout.n=8", "it is called rollout.group_size here");
    check_override("rollout.temp=1", "the nearest known name is rollout.temperature");
    check_override("optimizer.learning=1", "the nearest known name is optimizer.learning_rate");
    check_override("adversarial.beta=1",
                   "adversarial.beta; the nearest known name is distill.beta");
    check_override("update.shutoff=1",
                   "`gradus params update` lists those of its group"); /* many */
    check_override("reward.math=1", "`gradus params reward` lists those of its group");
    check_override("rollout.batch_size=8", "rollout.prompts_per_step counts the prompts");
    check_override("rollout.zzz=1",
                   "rollout.zzz; `gradus params rollout` lists those of its group");
    check_override("zzz.zzz=1", "unknown parameter zzz.zzz; `gradus params` lists all");
    check_override("rolout.grup_size=1", "the nearest known name is rollout.group_size");
    check_override("objective.gate=grpo", "\"grpo\" is not known: it is called clip here");
    check_override("objective.gate=GRPO", "\"GRPO\" is not known: it is called clip here");
    check_override("objective.gate=cispo", "\"cispo\" is not known: it is not there yet");
    check_override("objective.gate=tanh",
                   "; it takes one of its words (clip, sigmoid, erf, arctan, "
                   "softsign, none)");
    check_override("run.method=gspo", "and objective.level = \"sequence\"");
    check_file("optim:{lr=1;};", "x.cfg:2: unknown group optim: it is called optimizer here");
    check_file("steps=5;", "it is a parameter of a group: run : { steps = …; };");
    check_file("whatever:{};", "unknown group whatever; `gradus params` lists all");
    check_override("data.train=({file=\"d\";})", "has no field file: it is called path here");
    check_override("data.train=({zzz=\"d\";})", "has no field zzz; `gradus params data.train`");
    char out[SETTINGS_ADVICE_MAX];
    CHECK_TEXT(settings_advice("reward.parts.name", "accuracy", out), ": it is called math here");
    CHECK_TEXT(settings_advice("command", "nothing", out), "");
}

int main(void) {
    table();
    sentences();
    return CHECK_END();
}
