/* SPDX-License-Identifier: Apache-2.0
 *
 * Values, defaults, origins and paths of an input file, and what the command line changes.
 */
#include "config/settings.h"

#include <unistd.h>

#include "check.h"

static const char input[] =
    "# a comment, @include \"nothing\"\n"
    "run : { directory = \"runs/a\"; steps = 10; seed = 99999999999; };\n"
    "model = { path = \"../models/m\"; recompute = TRUE; }\n"
    "data : { train = ( { path = \"/d/x.jsonl\"; prompt = \"q\"; "
    "answer = \"a\"; },\n"
    "                   { path = \"./y.jsonl\"; prompt = \"p\"; "
    "answer = \"b\"; weight = 2;\n"
    "                     where = \"level >= 3\"; answer_after = "
    "\"####\"; } ); };\n"
    "rollout : { temperature = 1; stop = [ \"</answer>\", \"\\n\\n\" ]; };\n"
    "/* two\n lines */ prompt : { system = \"\"; template = \"a \"\n"
    "  \"{prompt}\\t1\"; };\n"
    "optimizer : { learning_rate = 2.5e-5; };  // the end\n"
    "objective : { gate = \"erf\"; entropy_coef = -0.5; };";

static enum status read_text(const char *text, char *const *overrides, int count,
                             struct settings *settings) {
    return settings_read_text("input/x.cfg", text, strlen(text), overrides, count,
                              SETTINGS_FOR_TRAINING, settings);
}

static void values(void) {
    struct settings s;
    CHECK_OK(read_text(input, NULL, 0, &s));
    CHECK_EQ(s.run.steps, 10);
    CHECK_EQ(s.run.seed, 99999999999);
    CHECK(s.model.recompute);
    CHECK_EQ(s.data.train_count, 2);
    CHECK_TEXT(s.data.train[0].path, "/d/x.jsonl");
    CHECK_NEAR(s.data.train[0].weight, 1.0, 0.0);
    CHECK_TEXT(s.data.train[0].where, "");
    CHECK_TEXT(s.data.train[1].prompt, "p");
    CHECK_NEAR(s.data.train[1].weight, 2.0, 0.0);
    CHECK_TEXT(s.data.train[1].answer_after, "####");
    CHECK_EQ(s.rollout.stop_count, 2);
    CHECK_TEXT(s.rollout.stop[1], "\n\n");
    CHECK_NEAR(s.rollout.temperature, 1.0, 0.0);
    CHECK(s.prompt.system != NULL);
    CHECK_TEXT(s.prompt.system, "");
    CHECK_TEXT(s.prompt.template, "a {prompt}\t1");
    CHECK_NEAR(s.optimizer.learning_rate, 2.5e-5, 0.0);
    CHECK_NEAR(s.objective.entropy_coef, -0.5, 0.0);
    CHECK_EQ(s.objective.gate, SETTING_GATE_ERF);
    CHECK_TEXT(settings_word(&s, "objective.gate"), "erf");
    settings_release(&s);
}

static void defaults(void) {
    struct settings s;
    CHECK_OK(read_text(input, NULL, 0, &s));
    CHECK_EQ(s.rollout.group_size, 8);
    CHECK_NEAR(s.optimizer.epsilon, 1e-8, 0.0);
    CHECK_TEXT(s.prompt.date, "26 Jul 2024");
    CHECK_EQ(s.reward.parts_count, 2);
    CHECK_TEXT(s.reward.parts[0].name, "format");
    CHECK_TEXT(s.reward.parts[1].name, "answer");
    CHECK_NEAR(s.reward.parts[1].weight, 1.0, 0.0);
    CHECK_NEAR(s.objective.clip_low, 0.2, 0.0);
    settings_release(&s);
    const char *const short_input = "model : { path = \"m\"; };";
    CHECK_OK(settings_read_text("x.cfg", short_input, strlen(short_input), NULL, 0,
                                SETTINGS_FOR_GENERATION, &s));
    CHECK(s.prompt.system == NULL);
    CHECK(s.run.directory == NULL);
    settings_release(&s);
}

static void origins(void) {
    struct settings s;
    char *overrides[] = {"rollout.top_k=5"};
    CHECK_OK(read_text(input, overrides, 1, &s));
    CHECK_TEXT(settings_origin(&s, "model.path"), "input/x.cfg:3");
    CHECK_TEXT(settings_origin(&s, "optimizer.learning_rate"), "input/x.cfg:11");
    CHECK_TEXT(settings_origin(&s, "rollout.top_k"), "command line");
    CHECK_TEXT(settings_origin(&s, "rollout.top_p"), "default");
    CHECK(settings_origin_is_default(&s, "objective.clip_low"));
    CHECK(!settings_origin_is_default(&s, "objective.gate"));
    settings_release(&s);
}

/* Relative to the folder of the file, or on the command line to the working directory. */
static void paths(void) {
    char here[2048], want[2100];
    CHECK(getcwd(here, sizeof here) != NULL);
    struct settings s;
    char *overrides[] = {"run.directory=./out/b"};
    CHECK_OK(read_text(input, overrides, 1, &s));
    snprintf(want, sizeof want, "%s/models/m", here);
    CHECK_TEXT(s.model.path, want);
    snprintf(want, sizeof want, "%s/input/y.jsonl", here);
    CHECK_TEXT(s.data.train[1].path, want);
    snprintf(want, sizeof want, "%s/out/b", here);
    CHECK_TEXT(s.run.directory, want);
    settings_release(&s);
}

static void overrides_of_each_kind(void) {
    struct settings s;
    char *overrides[] = {
        "rollout.group_size=16",
        "rollout.top_p=0.5",
        "model.recompute=false",
        "prompt.system=You are \"it\" \\n",
        "prompt.template=\"{prompt}\\n\"",
        "objective.gate=sigmoid",
        "objective.advantage=\"batch\"",
        "rollout.stop=(\"a\")",
        "reward.parts=({name=\"length\";weight=-1;})",
        "rollout.group_size=4", /* the last one counts */
    };
    CHECK_OK(read_text(input, overrides, 10, &s));
    CHECK_EQ(s.rollout.group_size, 4);
    CHECK_NEAR(s.rollout.top_p, 0.5, 0.0);
    CHECK(!s.model.recompute);
    CHECK_TEXT(s.prompt.system, "You are \"it\" \\n");
    CHECK_TEXT(s.prompt.template, "{prompt}\n");
    CHECK_EQ(s.objective.gate, SETTING_GATE_SIGMOID);
    CHECK_EQ(s.objective.advantage, SETTING_ADVANTAGE_BATCH);
    CHECK_EQ(s.rollout.stop_count, 1);
    CHECK_EQ(s.reward.parts_count, 1);
    CHECK_NEAR(s.reward.parts[0].weight, -1.0, 0.0);
    settings_release(&s);
}

/* Clip bounds that fit sequence ratios, where nobody gave any. */
static void derived_bounds(void) {
    struct settings s;
    char *overrides[] = {"objective.level=sequence", "objective.clip_high=0.01"};
    CHECK_OK(read_text(input, overrides, 2, &s));
    CHECK_NEAR(s.objective.clip_low, 3e-4, 0.0);
    CHECK_NEAR(s.objective.clip_high, 0.01, 0.0);
    CHECK_TEXT(settings_origin(&s, "objective.clip_low"), "derived from objective.level");
    settings_release(&s);
}

static const char eval_input[] =
    "rollout : { temperature = 0.7; top_k = 20; max_new_tokens = 99; stop = [ \"a\", \"b\" ]; };"
    "eval : { sets = ( { name = \"gsm8k\"; path = \"t.jsonl\"; prompt = \"q\"; answer = \"a\"; limit = 7; } );"
    "samples = 4; top_k = 3; };";

static enum status read_eval(char *const *overrides, int count, struct settings *s) {
    char text[2048];
    snprintf(text, sizeof text, "run : { directory = \"r\"; }; model : { path = \"m\"; };\n%s",
             eval_input);
    return settings_read_text("x.cfg", text, strlen(text), overrides, count,
                              SETTINGS_FOR_EVALUATION, s);
}

/* Sampling is that of rollout unless eval gives it; of the usual k those remain that there are samples
 * for. */
static void evaluation(void) {
    struct settings s;
    CHECK_OK(read_eval(NULL, 0, &s));
    CHECK_EQ(s.eval.sets_count, 1);
    CHECK_EQ(s.eval.sets[0].limit, 7);
    CHECK_TEXT(s.eval.sets[0].rule, "math");
    CHECK_NEAR(s.eval.temperature, 0.7, 0.0);
    CHECK_TEXT(settings_origin(&s, "eval.temperature"), "derived from rollout.temperature");
    CHECK_EQ(s.eval.top_k, 3);
    CHECK_EQ(s.eval.max_new_tokens, 99);
    CHECK_EQ(s.eval.stop_count, 2);
    CHECK_TEXT(s.eval.stop[1], "b");
    CHECK_EQ(s.eval.pass_at_count, 2);
    CHECK_EQ(s.eval.pass_at[0], 1);
    CHECK_EQ(s.eval.pass_at[1], 4);
    settings_release(&s);
    char *overrides[] = {"eval.samples=16", "eval.pass_at=[2,8]", "eval.stop=()",
                         "rollout.temperature=0.5"};
    CHECK_OK(read_eval(overrides, 4, &s));
    CHECK_EQ(s.eval.pass_at_count, 2);
    CHECK_EQ(s.eval.pass_at[1], 8);
    CHECK_EQ(s.eval.stop_count, 0);
    CHECK_NEAR(s.eval.temperature, 0.5, 0.0);
    settings_release(&s);
    char *too_large[] = {"eval.pass_at=[2,8]"};
    CHECK_STATUS(read_eval(too_large, 1, &s), STATUS_INPUT,
                 "eval.pass_at holds 8, which cannot be estimated from eval.samples = 4");
}

int main(void) {
    values();
    defaults();
    origins();
    paths();
    overrides_of_each_kind();
    derived_bounds();
    evaluation();
    return CHECK_END();
}
