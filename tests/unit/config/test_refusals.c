/* SPDX-License-Identifier: Apache-2.0
 *
 * Every wrong input file and command line is refused by one sentence that names the place.
 */
#include "config/settings.h"

#include <unistd.h>

#include "check.h"

#define NEEDED                                                                                     \
    "run:{directory=\"r\";steps=10;};model:{path=\"m\";};"                                         \
    "data:{train=({path=\"d\";prompt=\"p\";answer=\"a\";});};"

/* What follows the needed parameters on line 1, and words of the sentence. */
static const struct {
    const char *text, *words;
} cases[] = {
    {"\neval:{pass_at=4;};", "eval.pass_at is an integer; it takes a list of integers"},
    {"\neval:{pass_at=[1.5];};", "eval.pass_at holds a real; each of its elements is an integer"},
    {"\neval:{pass_at=[0];};", "eval.pass_at = 0 is too small; the least is 1"},
    {"\neval:{sets=({name=\"a\";path=\"d\";prompt=\"p\";answer=\"a\";limit=-1;});};",
     "eval.sets[0].limit = -1 is too small"},
    {"\neval:{sets=({name=\"a\";});};", "eval.sets[0] lacks path"},
    {"\neval:{sets=({name=\"a\";path=\"d\";prompt=\"p\";answer=\"a\";},{name=\"a\";path=\"d\";prompt=\"p\";answer=\"a\";});};",
     "eval.sets has two sets called 'a'"},
    {"\neval:{sets=({name=\"a/b\";path=\"d\";prompt=\"p\";answer=\"a\";});};",
     "name = 'a/b' is no name of a set"},
    {"\neval:{sets=({name=\"a\";path=\"d\";prompt=\"p\";answer=\"a\";template=\"x\";});};",
     "eval.sets[0].template does not hold {prompt}"},
    {"\neval:{every=5;};",
     "x.cfg:2: eval.every = 5 evaluates on the way, but eval.sets names no problems"},
    {"\nrollout:{\ntop_q=1;};", "x.cfg:3: unknown parameter rollout.top_q; the nearest known name "
                                "is rollout.top_"},
    {"\nrollot:{};", "x.cfg:2: unknown group rollot; the nearest known name is rollout"},
    {"\nobjective:{temperature=1;};", "the nearest known name is rollout.temperature"},
    {"\nseed=5;",
     "x.cfg:2: unknown group seed: it is a parameter of a group: run : { seed = …; };"},
    {"\nrollout=5;", "x.cfg:2: rollout is an integer; it takes parameters in braces"},
    {"\nrollout:{top_p=1.0;\ntop_p=1.0;};", "x.cfg:3: this name is given twice: top_p=1.0;};"},
    {"\nrun:{seed=1;};", "x.cfg:2: this name is given twice: run"},
    {"\n  @include \"y.cfg\"\n", "x.cfg:2: @include is not allowed"},
    {"\nrollout:{top_p=inf;};", "x.cfg:2: inf is no value"},
    {"\nrollout:{top_p=nan;};", "x.cfg:2: nan is no value"},
    {"\nrollout:{temperature=1e999;};", "x.cfg:2: rollout.temperature is beyond the range"},
    {"\nrollout:{temperature=-inf;};", "x.cfg:2: syntax error"},
    {"\nobjective:{gate=erf;};", "x.cfg:2: erf is no value: texts stand in quotes"},
    {"\nobjective:{gate=\"erv\";};", "x.cfg:2: objective.gate = \"erv\" is not known; the nearest "
                                     "of its words is \"erf\""},
    {"\nobjective:{gate=1;};", "x.cfg:2: objective.gate is an integer; it takes a word in quotes"},
    {"\nrollout:{group_size=2.5;};", "rollout.group_size is a real; it takes an integer"},
    {"\nrollout:{group_size=\"8\";};", "rollout.group_size is a text; it takes an integer"},
    {"\nrollout:{group_size=0;};", "x.cfg:2: rollout.group_size = 0 is too small; the least is 1"},
    {"\nrollout:{group_size=99999999999;};", "rollout.group_size = 99999999999 is too large; the "
                                             "most is 65536"},
    {"\noutput:{rollouts_every=99999999999999999999;};",
     "x.cfg:2: the integer 99999999999999999999 does not fit into 64 bits"},
    {"\nrollout:{top_p=\"1\";};", "rollout.top_p is a text; it takes a real"},
    {"\nrollout:{top_p=1.5;};", "rollout.top_p = 1.5 is too large; the most is 1"},
    {"\nmodel2:{};", "unknown group model2; the nearest known name is model"},
    {"\nprompt:{thinking=1;};", "prompt.thinking is an integer; it takes true or false"},
    {"\nprompt:{template=5;};", "prompt.template is an integer; it takes a text in quotes"},
    {"\nprompt:{template=\"hello\";};", "x.cfg:2: prompt.template does not hold {prompt}"},
    {"\nprompt:{template=\"{prompt}\\x00\";};", "x.cfg:2: a text cannot hold the character \\x00"},
    {"\nprompt:{system=\"a\xff\";};", "x.cfg:2: prompt.system is not UTF-8"},
    {"\nprompt:{system=\"\\xc3\";};", "x.cfg:2: prompt.system is not UTF-8"},
    {"\nprompt:{system=\"\xed\xa0\x80\";};", "x.cfg:2: prompt.system is not UTF-8"},
    {"\nrollout:{stop=[\"\xc0\x80\"];};", "rollout.stop holds a text that is not UTF-8"},
    {"\nrollout:{stop=\"x\";};", "rollout.stop is a text; it takes a list of texts"},
    {"\nrollout:{stop=(1);};", "rollout.stop holds an integer"},
    {"\nrollout:{stop=[\"\"];};", "rollout.stop holds an empty text"},
    {"\nreward:{parts=(5);};", "reward.parts[0] is an integer; it takes fields in braces"},
    {"\nreward:{parts={name=\"x\";};};", "reward.parts is a group { }; it takes a list of records"},
    {"\nreward:{parts=({name=\"x\";},{weight=1;});};", "reward.parts[1] lacks name, a reward"},
    {"\nreward:{parts=({name=\"\";});};", "reward.parts[0].name is empty"},
    {"\nreward:{parts=({name=\"x\";wieght=1;});};",
     "reward.parts[0] has no field wieght; the nearest is weight"},
    {"\nreward:{parts=({name=\"x\";\nweight=1e10;});};",
     "x.cfg:3: reward.parts[0].weight = 1e+10 is too large"},
    {"\nrollout:{top_p=1.0;", "x.cfg:2: syntax error in or before: rollout:{top_p=1.0;"},
    {"\nrollout:{top_p=1.0;\n\n  # so far\n\n",
     "x.cfg:6: the file ends in the middle of a group, list or value; the last line is: "
     "rollout:{top_p=1.0;"},
    {"\nrollout:{\r\ntop_p=\r\n", "value; the last line is: top_p="},
    {"\n\"", "x.cfg:2: the text that begins here has no closing quote"},
    {"\n/* x", "x.cfg:2: the comment that begins"},
    {"\nobjective:{clip_low=1.0;};", "x.cfg:2: objective.clip_low = 1 leaves no bound"},
    {"\nobjective:{clip_dual=1.1;};", "is not above 1 + objective.clip_high = 1.2"},
    {"\nobjective:{tau_control=\"eur\";};\nupdate:{iterations=2;};",
     "moves the tau of a soft gate, and the gate \"clip\" has none"},
    {"\nobjective:{tau_control=\"schedule\";tau_scale_end=2;gate=\"none\";};",
     "and the gate \"none\" has none"},
    {"\nobjective:{tau_control=\"eur\";gate=\"erf\";};", "with one pass they are all 1"},
    {"\nobjective:{tau_control=\"schedule\";gate=\"erf\";};", "takes objective.tau_scale_end"},
    {"\nobjective:{tau_scale_least=1.5;};", "objective.tau_scale_least = 1.5 is too large"},
    {"\nobjective:{tau_scale_most=0.5;};", "objective.tau_scale_most = 0.5 is too small"},
    {"\nobjective:{eur_target=1.0;};", "objective.eur_target = 1 is too large"},
    {"\nrollout:{group_size=1;};", "it takes at least 2"},
    {"\nprompt:{thinking=false;};", "x.cfg:2: prompt.thinking = false closes an empty think block"},
    {"\nupdate:{mini_batches=9;};", "is more than rollout.prompts_per_step = 8"},
    {"\noptimizer:{warmup_steps=11;};", "is more than run.steps = 10"},
};

static enum status read_text(const char *text, size_t length, char *const *overrides, int count) {
    struct settings s;
    const enum status status =
        settings_read_text("x.cfg", text, length, overrides, count, SETTINGS_FOR_TRAINING, &s);
    if (status == STATUS_OK)
        settings_release(&s);
    else
        CHECK(s.run.directory == NULL && s.data.train == NULL);
    return status;
}

static void wrong_files(void) {
    CHECK_OK(read_text(NEEDED, strlen(NEEDED), NULL, 0));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", NEEDED, cases[i].text);
        CHECK_STATUS(read_text(text, strlen(text), NULL, 0), STATUS_INPUT, cases[i].words);
        CHECK(strchr(status_sentence(), '\n') == NULL);
    }
    CHECK_STATUS(read_text("a\0b", 3, NULL, 0), STATUS_INPUT, "x.cfg:1: byte 2 is zero");
}

/* What the sentence of thinking = false names helps. */
static void closed_think_block(void) {
    const char *const text = NEEDED "prompt:{thinking=false;};";
    char *remedies[] = {"prompt.thinking=true", "reward.parts=({name=\"answer\";})",
                        "run.method=sft", "prompt.chat=chatml"};
    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++)
        CHECK_OK(read_text(text, strlen(text), &remedies[i], 1));
}

static void missing_parameters(void) {
    const char *const no_steps = "run:{directory=\"r\";};model:{path=\"m\";};";
    CHECK_STATUS(read_text(no_steps, strlen(no_steps), NULL, 0), STATUS_INPUT,
                 "x.cfg: run.steps must be given");
    CHECK_STATUS(read_text("", 0, NULL, 0), STATUS_INPUT, "must be given");
    char *overrides[] = {"data.train=()"};
    CHECK_STATUS(read_text(NEEDED, strlen(NEEDED), overrides, 1), STATUS_INPUT,
                 "command line: data.train is an empty list");
}

static void wrong_overrides(void) {
    static const struct {
        char *text;
        enum status status;
        const char *words;
    } wrong[] = {
        {"rollout", STATUS_USAGE, "\"rollout\" is not of the form group.name=value"},
        {"rollout=1", STATUS_USAGE, "is not of the form group.name=value"},
        {"rollout.topp=1", STATUS_INPUT, "the nearest known name is rollout.top_p"},
        {"rollout.top_p=2", STATUS_INPUT, "command line: rollout.top_p = 2 is too large"},
        {"rollout.top_p=1;top_k=2", STATUS_INPUT, "rollout.top_p takes one value"},
        {"rollout.top_p=", STATUS_INPUT, "command line: rollout.top_p= has no value behind it"},
        {"rollout.top_p=x", STATUS_INPUT, "command line: rollout.top_p: x is no value"},
        {"objective.gate=erv", STATUS_INPUT, "the nearest of its words is \"erf\""},
        {"run.directory=", STATUS_INPUT, "run.directory is empty"},
        {".=", STATUS_INPUT, "unknown parameter"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *overrides[] = {wrong[i].text};
        CHECK_STATUS(read_text(NEEDED, strlen(NEEDED), overrides, 1), wrong[i].status,
                     wrong[i].words);
    }
}

static void wrong_paths(void) {
    struct settings s;
    CHECK_STATUS(settings_read("no/such/file.cfg", NULL, 0, SETTINGS_FOR_TRAINING, &s),
                 STATUS_INPUT, "the input file no/such/file.cfg cannot be opened");
    CHECK_STATUS(settings_read("tests", NULL, 0, SETTINGS_FOR_TRAINING, &s), STATUS_INPUT, "tests");
    struct strbuf page = STRBUF_EMPTY;
    CHECK_STATUS(settings_help("rollout.topp", &page), STATUS_USAGE,
                 "there is no parameter rollout.topp; the nearest known name is rollout.top_p");
    CHECK_STATUS(settings_help("rollot", &page), STATUS_USAGE, "the nearest known name is rollout");
    strbuf_release(&page);
}

int main(void) {
    wrong_files();
    closed_think_block();
    missing_parameters();
    wrong_overrides();
    wrong_paths();
    return CHECK_END();
}
