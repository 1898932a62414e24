/* SPDX-License-Identifier: Apache-2.0
 *
 * What sft collects: the rows in order, one answer each, its tokens and the one that ends a turn;
 * and what it refuses.
 */
#include "unit/run/scene.h"

#include "method/sft.h"

static void test_batch(void) {
    struct scene scene;
    struct collect_report report;
    scene_open(&scene, "run.method=sft");
    const int32_t end = tokenizer_find(scene.run.lm.tokenizer, "<|im_end|>");
    for (int64_t step = 1; step <= 4; step++) {
        scene_collect(&scene, step, &report);
        const struct rollout *rollout = &scene.run.step.rollout;
        CHECK_EQ(rollout->group_size, 1);
        for (int64_t g = 0; g < 4; g++) {
            const int64_t row = (4 * (step - 1) + g) % SCENE_ROWS;
            const struct rollout_answer *answer = &rollout->answers[g];
            CHECK_EQ(rollout->groups[g].row, row);
            CHECK_EQ(answer->n, row + 2);
            for (int64_t t = 0; t < row + 1; t++)
                CHECK_EQ(answer->tokens[t], 'a');
            CHECK_EQ(answer->tokens[row + 1], end);
            CHECK_EQ(answer->finish, FINISH_STOP);
            CHECK_EQ(answer->text.length, row + 1);
            CHECK(answer->ratio == NULL && answer->logprob_sampler == NULL);
        }
    }
    CHECK_EQ(report.tokens, 0);
    scene_close(&scene);
}

/* --- conversations --- */

enum { TALKS = 4, TURNS = 2 };
#define HEAD(role)   "<|im_start|>" role "\\n"
#define END          "<|im_end|>\\n"
#define SAY(role, t) "{\"role\": \"" role "\", \"content\": \"" t "\"}"

/* Four conversations of two answers each, and the same answers one by one, each behind all that
 * stands before it. */
static void write_talks(void) {
    char talks[4096], pairs[8192], before[512];
    size_t n = 0, m = 0;
    for (int i = 0; i < TALKS; i++) {
        size_t b = 0;
        n += (size_t)snprintf(talks + n, sizeof talks - n, "{\"talk\": [");
        for (int t = 0; t < TURNS; t++) {
            n += (size_t)snprintf(talks + n, sizeof talks - n,
                                  "%s" SAY("user", "%d%d") ", " SAY("assistant", "a%dc%d"),
                                  t > 0 ? ", " : "", i, t, t, i);
            b += (size_t)snprintf(before + b, sizeof before - b,
                                  HEAD("user") "%d%d" END HEAD("assistant"), i, t);
            m += (size_t)snprintf(pairs + m, sizeof pairs - m,
                                  "{\"question\": \"%s\", \"answer\": \"a%dc%d\"}\n", before, t, i);
            b += (size_t)snprintf(before + b, sizeof before - b, "a%dc%d" END, t, i);
        }
        n += (size_t)snprintf(talks + n, sizeof talks - n, "]}\n");
    }
    folder_write(folder_file("talks.jsonl"), talks, n);
    folder_write(folder_file("pairs.jsonl"), pairs, m);
}

static void keep(struct rollout_answer *answer, const float *logprob, const float *entropy) {
    memcpy(answer->logprob, logprob, (size_t)answer->n * sizeof *logprob);
    memcpy(answer->entropy, entropy, (size_t)answer->n * sizeof *entropy);
}

static void collect_scored(struct scene *scene, const char *more, const char *file,
                           const char *fields) {
    struct collect_report report;
    char settings[1024];
    snprintf(settings, sizeof settings, "run.method=sft data.train=({path=\"%s\";%s}) %s",
             folder_file(file), fields, more);
    scene_open(scene, settings);
    scene_collect(scene, 1, &report);
    const struct method_context context = scene_context(scene);
    CHECK_OK(method_score(&context, scene->run.lm.model, &scene->run.step.rollout, 1.0f, keep));
}

/* A conversation is one answer whose tokens are those of its turns, computed once, each with the
 * log-probability that it has behind the whole conversation before it. */
static void test_turns(void) {
    struct scene talks, pairs;
    write_talks();
    collect_scored(&talks, "prompt.chat=chatml", "talks.jsonl", "messages=\"talk\";");
    collect_scored(&pairs, "rollout.prompts_per_step=8 prompt.answer_end=\"<|im_end|>\"",
                   "pairs.jsonl", "prompt=\"question\";answer=\"answer\";");
    const struct rollout *whole = &talks.run.step.rollout, *parts = &pairs.run.step.rollout;
    for (int i = 0; i < TALKS; i++) {
        const struct rollout_answer *answer = &whole->answers[i];
        const struct rollout_group *last = &parts->groups[TURNS * i + TURNS - 1];
        int64_t at = 0;
        CHECK_EQ(answer->turn_count, TURNS);
        CHECK_EQ(whole->groups[i].prompt_length + rollout_answer_length(answer),
                 last->prompt_length + parts->answers[TURNS * i + TURNS - 1].n);
        for (int t = 0; t < TURNS; t++) {
            const struct rollout_answer *turn = &parts->answers[TURNS * i + t];
            CHECK_EQ(answer->turn_ends[t] - answer->turn_begins[t], turn->n);
            for (int64_t k = 0; k < turn->n && at < answer->n; k++, at++) {
                CHECK_EQ(answer->tokens[at], turn->tokens[k]);
                CHECK_NEAR(answer->logprob[at], turn->logprob[k], 2e-6);
                CHECK_NEAR(answer->entropy[at], turn->entropy[k], 2e-6);
            }
        }
        CHECK_EQ(at, answer->n);
        CHECK_EQ(answer->text.length, 4 * TURNS);
    }
    scene_close(&talks);
    scene_close(&pairs);
}

static void refuse(const char *more, const char *words) {
    struct settings settings;
    CHECK_OK(scene_settings(&settings, more));
    CHECK_STATUS(method_sft.check(&settings), STATUS_INPUT, words);
    settings_release(&settings);
}

int main(void) {
    scene_make();
    test_batch();
    test_turns();
    refuse("run.method=sft objective.kl_coef=0.1", "objective.kl_coef");
    refuse("run.method=sft objective.entropy_coef=0.1", "objective.entropy_coef");
    folder_remove();
    return CHECK_END();
}
