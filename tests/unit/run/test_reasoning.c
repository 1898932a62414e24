/* SPDX-License-Identifier: Apache-2.0
 *
 * What a discriminator that reasons reads and writes in a step: prefix and completion as one that tells at
 * once reads them, with the texts of the question around them as tokens; then what it drew, and the closing
 * text where it did not close itself. Its logits are those of the whole sequence alone, its value that of
 * the question alone, whatever it drew; its tokens had the log-probabilities that the first pass finds; and
 * nothing depends on how many are decoded at a time or go through the model together.
 */
#include "unit/run/scene.h"

#include "base/memory.h"
#include "method/reasoning.h"

#define GAME                                                                                       \
    "run.method=adversarial data.train=() data.corpus=({path=\"%s\";}) prompt.template={text} "    \
    "adversarial.window_tokens=12 adversarial.completion_tokens=5 reward.parts=() "                \
    "adversarial.length_rule=none rollout.prompts_per_step=3 rollout.group_size=2 "                \
    "optimizer.learning_rate=0 rollout.think_close=</think>! %s"
#define REASONS                                                                                    \
    "adversarial.judge_template=A{prefix}|{completion}?<think> adversarial.reason_tokens=6 "
enum { GROUPS = 3, SIZE = 3, TOKENS = 6 };

/* Opened, with the batch of the first step. */
static void open_step(struct scene *scene, const char *more) {
    char words[1024];
    struct collect_report report;
    snprintf(words, sizeof words, GAME, folder_file("texts.jsonl"), more);
    scene_open(scene, words);
    scene_collect(scene, 1, &report);
    CHECK(report.positions > 0);
}

/* Whether `have` begins with the bytes of `text`, which are its tokens here; moves on behind them. */
static void skip_text(const int32_t **have, const char *text) {
    for (; *text != '\0'; text++, ++*have)
        CHECK_EQ(**have, *text);
}

static void skip_ids(const int32_t **have, const int32_t *ids, int64_t n) {
    for (int64_t i = 0; i < n; i++, ++*have)
        CHECK_EQ(**have, ids[i]);
}

/* Against the batch of a discriminator that tells at once. */
static void check_layout(const struct judged *judged, const struct judged *plain, int64_t k) {
    const struct rollout_group *group = &judged->texts.groups[k / SIZE],
                               *before = &plain->texts.groups[k / SIZE];
    const struct rollout_answer *reason = &judged->texts.answers[k],
                                *told = &plain->texts.answers[k];
    const int32_t *at = group->prompt;
    skip_text(&at, "A");
    skip_ids(&at, before->prompt, before->prompt_length);
    skip_text(&at, "|");
    CHECK_EQ(at - group->prompt, group->prompt_length);
    CHECK_EQ(judged->completions[k], told->n);
    at = reason->sequence;
    skip_ids(&at, told->tokens, told->n);
    skip_text(&at, "?<think>");
    CHECK_EQ(reason->turn_begins[0], at - reason->sequence);
    skip_ids(&at, reason->tokens, reason->n);
    CHECK_EQ(reason->turn_ends[0], at - reason->sequence);
    CHECK(reason->n >= 1 && reason->n <= TOKENS);
    CHECK(reason->n == TOKENS || reason->finish != FINISH_LENGTH);
    if (reason->forced)
        skip_text(&at, "</think>!");
    CHECK_EQ(at - reason->sequence, rollout_answer_length(reason));
}

/* What the head says of these tokens alone, at their last one. */
static struct discriminator_sequence alone(struct run *run, const struct rollout_group *group,
                                           const int32_t *ids, int64_t n) {
    struct batch batch = BATCH_EMPTY;
    struct discriminator_sequence found = {.end = 1};
    float *states;
    int32_t prompt;
    CHECK_OK(memory_new(&states, run->lm.hparams.C, "states"));
    CHECK_OK(batch_append_prompt(&batch, group->prompt, group->prompt_length, &prompt));
    CHECK_OK(batch_append_rows(&batch, prompt, ids, n, BATCH_LAST_ROW));
    CHECK_OK(model_states(run->lm.model, &batch, false, states));
    discriminator_forward(run->lm.discriminator, states, &found, 1);
    batch_release(&batch);
    memory_release(&states);
    return found;
}

static void check_verdict(struct run *run, int64_t k) {
    const struct judged *judged = &run->step.judged;
    const struct rollout_group *group = &judged->texts.groups[k / SIZE];
    const struct rollout_answer *reason = &judged->texts.answers[k];
    const struct verdict *verdict = &judged->verdicts[k];
    const struct discriminator_sequence whole = alone(run, group, reason->sequence,
                                                      rollout_answer_length(reason)),
                                        asked = alone(run, group, reason->sequence,
                                                      reason->turn_begins[0]);
    CHECK_NEAR(verdict->logits[0], whole.logits[0], 0);
    CHECK_NEAR(verdict->logits[1], whole.logits[1], 0);
    CHECK_NEAR(verdict->value, asked.value, 0);
    CHECK(whole.value != asked.value);
    const bool real = k % SIZE == 0, right = (whole.logits[1] > whole.logits[0]) == real;
    CHECK_NEAR(verdict_advantage(verdict, real), (right ? 1.0 : 0.0) - asked.value, 0);
}

static void check_same(const struct judged *a, const struct judged *b, int64_t k) {
    const struct rollout_answer *x = &a->texts.answers[k], *y = &b->texts.answers[k];
    CHECK_EQ(x->n, y->n);
    CHECK_EQ(x->between, y->between);
    CHECK(memcmp(x->sequence, y->sequence, (size_t)rollout_answer_length(x) * sizeof(int32_t)) ==
          0);
    CHECK(memcmp(&a->verdicts[k], &b->verdicts[k], sizeof *a->verdicts) == 0);
}

/* Each sequence has noise of its own, and sequence g not that of the first answer to prompt g: a model of
 * random weights draws by its noise alone, nearly. */
static void check_different(const struct run *run) {
    const struct rollout_answer *reasons = run->step.judged.texts.answers;
    int64_t alike = 0, as_answers = 0;
    for (int64_t k = 1; k < GROUPS * SIZE; k++)
        alike += reasons[k].tokens[0] == reasons[0].tokens[0];
    for (int64_t g = 0; g < GROUPS; g++) {
        const struct rollout_answer *answer = rollout_group_answers(&run->step.rollout, g);
        for (int64_t t = 0; t < answer->n && t < reasons[g].n; t++)
            as_answers += answer->tokens[t] == reasons[g].tokens[t];
    }
    printf("first tokens alike: %lld of 8; tokens as in answers: %lld of 15\n", (long long)alike,
           (long long)as_answers);
    CHECK(alike <= 2);
    CHECK(as_answers <= 3);
}

int main(void) {
    static const char texts[] =
        "{\"text\": \"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvw\"}\n";
    struct scene plain, scene, other;
    scene_make();
    folder_write(folder_file("texts.jsonl"), texts, sizeof texts - 1);
    open_step(&plain, "adversarial.reward=value");
    open_step(&scene, REASONS);
    open_step(&other, REASONS "rollout.answers_in_flight=1 parallel.tokens_per_pass=40");
    struct judged *judged = &scene.run.step.judged;
    CHECK_EQ(judged->texts.group_size, SIZE);
    for (int64_t k = 0; k < GROUPS * SIZE; k++) {
        check_layout(judged, &plain.run.step.judged, k);
        check_verdict(&scene.run, k);
        check_same(judged, &other.run.step.judged, k);
    }
    check_different(&scene.run);
    CHECK_OK(run_update(&scene.run));
    for (int64_t k = 0; k < GROUPS * SIZE; k++)
        for (int64_t t = 0; t < judged->texts.answers[k].n; t++)
            CHECK_NEAR(judged->texts.answers[k].logprob[t],
                       judged->texts.answers[k].logprob_sampler[t], 0);
    scene_close(&plain);
    scene_close(&scene);
    scene_close(&other);
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
