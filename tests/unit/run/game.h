/* SPDX-License-Identifier: Apache-2.0
 *
 * Models and batches of the adversarial game as tests/data/adversarial/make_game.py has them, for the
 * tests of its steps.
 */
#ifndef TESTS_UNIT_RUN_GAME_H
#define TESTS_UNIT_RUN_GAME_H

#include "unit/run/scene.h"

#include "base/memory.h"
#include "unit/model/tiny.h"

/* With beta1 = 0 the first moment is the gradient; nothing moves. */
#define GAME                                                                                       \
    "run.method=adversarial data.train=() data.corpus=({path=\"%s\";}) prompt.template={text} "    \
    "adversarial.window_tokens=8 adversarial.completion_tokens=3 reward.parts=() "                 \
    "rollout.prompts_per_step=4 rollout.group_size=3 rollout.temperature=0.7 objective.gate=erf "  \
    "objective.tau_pos=10 objective.tau_neg=12 objective.entropy_coef=0.01 "                       \
    "optimizer.learning_rate=0 optimizer.beta1=0 optimizer.max_grad_norm=0 %s"
#define REASONS                                                                                    \
    "adversarial.judge_template={prefix}|{completion}?<think> adversarial.reason_tokens=4 "
enum { GROUPS = 4, SIZE = 3, REAL = 5, BYTES = 256, BEHIND = 3, CLOSE = 2 };

static inline void game_set_parameters(struct run *run) {
    const struct parameter_set *set = language_model_trained(&run->lm),
                               *weights = weights_parameters(run->lm.weights);
    float *values;
    CHECK_OK(memory_new(&values, weights->elements, "weights"));
    tiny_fill(weights->items, weights->count, values);
    CHECK_OK(weights_refresh(run->lm.weights, values));
    memory_release(&values);
    tiny_fill(set->items, set->count, run->master);
    CHECK_OK(language_model_refresh(&run->lm, run->master));
}

static inline void game_set_tokens(const char *what, int i, int64_t n, int32_t **out) {
    char name[32];
    snprintf(name, sizeof name, "%s %d", what, i);
    CHECK_OK(memory_new(out, n, "tokens"));
    tiny_tokens(name, BYTES, *out, n);
}

static inline void game_set_group(struct run *run, int g) {
    struct rollout_group *prompt = &run->step.rollout.groups[g],
                         *prefix = &run->step.judged.texts.groups[g];
    struct rollout_answer *real = rollout_group_answers(&run->step.judged.texts, g);
    prompt->prompt_length = 3 + g;
    prefix->prompt_length = 4 + g;
    real->n = REAL;
    game_set_tokens("prompt", g, prompt->prompt_length, &prompt->prompt);
    game_set_tokens("prefix", g, prefix->prompt_length, &prefix->prompt);
    game_set_tokens("real", g, REAL, &real->tokens);
}

/* A written completion is what stands behind the first k mod 2 tokens of answer k. */
static inline void game_set_answer(struct run *run, int k) {
    struct rollout_answer *answer = &run->step.rollout.answers[k];
    scene_answer(answer, k);
    answer->thinking = k % 2;
    answer->finish = FINISH_LENGTH;
}

/* Behind the completion of sequence k a question, 1 + k mod 4 drawn tokens, and behind every other one what
 * closes them; of the verdicts some tell right. */
static inline void game_set_reason(struct run *run, int k) {
    struct judged *judged = &run->step.judged;
    struct rollout_answer *text = &judged->texts.answers[k];
    const int64_t told = text->n, n = 1 + k % 4, length = told + BEHIND + n + (k % 2 ? CLOSE : 0);
    const int32_t begin = (int32_t)told + BEHIND, end = begin + (int32_t)n;
    int32_t sequence[REAL + SCENE_ANSWER_MOST + BEHIND + 4 + CLOSE];
    char name[32];
    snprintf(name, sizeof name, "reason %d", k);
    if (told > 0)
        memcpy(sequence, text->tokens, (size_t)told * sizeof *sequence);
    tiny_tokens("behind", BYTES, sequence + told, BEHIND);
    tiny_tokens(name, BYTES, sequence + begin, n);
    tiny_tokens("close", BYTES, sequence + end, CLOSE);
    rollout_answer_release(text);
    CHECK_OK(rollout_answer_reserve(text, n, (struct rollout_columns){.sampler = true}));
    CHECK_OK(rollout_answer_set_turns(text, sequence, length, &begin, &end, 1));
    judged->verdicts[k] = (struct verdict){.logits = {0.125, 0.125 + (k % 3 == 0 ? 0.5 : -0.5)},
                                           .value = 0.25 + 0.125 * (k % 5)};
}

static inline void game_set_batch(struct run *run) {
    CHECK_OK(run_clear_batch(run));
    for (int g = 0; g < GROUPS; g++)
        game_set_group(run, g);
    for (int k = 0; k < GROUPS * SIZE; k++)
        game_set_answer(run, k);
    CHECK_OK(judged_take_answers(&run->step.judged, &run->step.rollout));
    for (int k = 0; run->step.judged.reasons.group_count > 0 && k < GROUPS * (1 + SIZE); k++)
        game_set_reason(run, k);
}

static inline void game_open(struct scene *scene, const char *settings) {
    char words[2048];
    snprintf(words, sizeof words, GAME, folder_file("texts.jsonl"), settings);
    scene_open(scene, words);
    game_set_parameters(&scene->run);
    game_set_batch(&scene->run);
}

/* The folder, with a model of the shape that make_game.py has. */
static inline void game_make(void) {
    static const char texts[] = "{\"text\": \"a text that is long enough for windows\"}\n";
    scene_make_of("8", "12", "1");
    folder_write(folder_file("texts.jsonl"), texts, sizeof texts - 1);
}

#endif
