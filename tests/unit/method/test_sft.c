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

static void refuse(const char *more, const char *words) {
    struct settings settings;
    CHECK_OK(scene_settings(&settings, more));
    CHECK_STATUS(method_sft.check(&settings), STATUS_INPUT, words);
    settings_release(&settings);
}

int main(void) {
    scene_make();
    test_batch();
    refuse("run.method=sft objective.kl_coef=0.1", "objective.kl_coef");
    refuse("run.method=sft objective.entropy_coef=0.1", "objective.entropy_coef");
    folder_remove();
    return CHECK_END();
}
