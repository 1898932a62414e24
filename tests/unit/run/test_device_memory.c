/* SPDX-License-Identifier: Apache-2.0
 *
 * A run on a device takes its memory before and in the first step: later steps, of other lengths, ask
 * the device for nothing.
 */
#include "unit/run/scene.h"

#include "backends.h"

/* Answers of at most so many tokens are learned from. */
static void step(struct scene *scene, int64_t number, int64_t most) {
    struct rollout *rollout = &scene->run.step.rollout;
    struct collect_report report;
    scene_collect(scene, number, &report);
    for (int64_t i = 0; i < rollout->group_count * rollout->group_size; i++)
        if (rollout->answers[i].n > most)
            rollout->answers[i].n = most;
    CHECK_OK(run_update(&scene->run));
}

int main(void) {
    struct scene scene;
    if (!backends_have_cuda())
        CHECK_SKIP("built without CUDA, or there is no GPU");
    scene_make();
    scene_open(&scene, "run.device=cuda parallel.tokens_per_pass=64");
    CHECK(scene.run.lm.backend.blocks_taken > 0);
    step(&scene, 0, 4);
    const int64_t taken = scene.run.lm.backend.blocks_taken;
    for (int64_t i = 1; i < 4; i++)
        step(&scene, i, 20);
    CHECK_EQ(scene.run.lm.backend.blocks_taken, taken);
    scene_close(&scene);
    folder_remove();
    return CHECK_END();
}
