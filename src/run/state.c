/* SPDX-License-Identifier: Apache-2.0 */
#include "run/state.h"

#include <string.h>

int state_values(struct run *run, struct checkpoint_value out[STATE_VALUES_MAX]) {
    struct run_counters *counters = &run->counters;
    struct flat *flat = &run->flat;
    const enum checkpoint_kind integers = CHECKPOINT_INTEGERS, reals = CHECKPOINT_REALS,
                               flags = CHECKPOINT_FLAGS;
    /* clang-format off */
    const struct checkpoint_value values[] = {
        {"step", "steps", "finished steps of the run", integers, 1, &counters->step},
        {"optimizer_steps", "steps", "steps that the optimizer's moments have seen", integers, 1, &run->optimizer->steps},
        {"counters/backward_passes", "passes", "backward passes so far", integers, 1, &counters->backward_passes},
        {"counters/optimizer_steps", "steps", "optimizer steps so far", integers, 1, &counters->optimizer_steps},
        {"counters/tokens", "tokens", "answer tokens so far", integers, 1, &counters->tokens},
        {"counters/prompts", "prompts", "prompts taken so far", integers, 1, &counters->prompts},
        {"counters/skipped_in_a_row", "steps", "optimizer steps in a row that were skipped, up to this one", integers, 1, &run->skipped_in_a_row},
        {"flat/steps", "steps", "steps in a row in which all rewards of each group were equal", integers, 1, &flat->steps},
        {"flat/had_form", "1", "1: some answers had the form of the format reward", flags, 1, &flat->had_form},
        {"flat/had_end", "1", "1: in some step most answers ended by themselves", flags, 1, &flat->had_end},
        {"flat/longest", "tokens", "largest mean length of a step's answers", reals, 1, &flat->longest_tokens},
        {"data/position", "prompts", "prompts given so far: in all, then of each source of data.train", integers, stream_position_size(run->stream), run->position},
    };
    /* clang-format on */
    const int count = (int)(sizeof values / sizeof *values);
    ASSERT(count <= STATE_VALUES_MAX);
    memcpy(out, values, sizeof values);
    return count;
}

float *state_vector(const struct run *run, enum checkpoint_section section) {
    float *const vectors[CHECKPOINT_SECTIONS] = {
        [CHECKPOINT_PARAMETERS] = run->master,
        [CHECKPOINT_EXP_AVG] = run->optimizer->exp_avg,
        [CHECKPOINT_EXP_AVG_SQ] = run->optimizer->exp_avg_sq,
    };
    ASSERT(vectors[section] != NULL);
    return vectors[section];
}

enum status state_check_whole(const struct run *run) {
    if (run->shard->size == 1)
        return STATUS_OK;
    return FAIL(STATUS_INPUT, "parallel.shard: checkpoints are not made of shards yet");
}

void state_gather(struct run *run) {
    stream_position_get(run->stream, run->position);
}

enum status state_apply(struct run *run) {
    return stream_position_set(run->stream, run->position, stream_position_size(run->stream));
}
