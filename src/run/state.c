/* SPDX-License-Identifier: Apache-2.0 */
#include "run/state.h"

#include <string.h>

#include "file/bytes.h"

/* The shut-off test of the update rule. */
enum { SHUTOFF_VALUES = 7 };
static int shutoff_values(struct run *run, struct checkpoint_value out[SHUTOFF_VALUES]) {
    struct shutoff *shutoff = &run->shutoff;
    const enum checkpoint_kind integers = CHECKPOINT_INTEGERS, reals = CHECKPOINT_REALS;
    /* clang-format off */
    const struct checkpoint_value values[SHUTOFF_VALUES] = {
        {"shutoff/values", "1", "numbers that the test is made on: number i at place i mod update.shutoff_window", reals, run->settings->update.shutoff_window, shutoff->values},
        {"shutoff/count", "steps", "numbers so far", integers, 1, &shutoff->count},
        {"shutoff/streak", "steps", "scores in a row at the threshold or above", integers, 1, &shutoff->streak},
        {"shutoff/mean", "1", "mean that the streak is scored against", reals, 1, &shutoff->mean},
        {"shutoff/deviation", "1", "standard deviation that the streak is scored against", reals, 1, &shutoff->deviation},
        {"shutoff/off", "1", "1: the rule rests", CHECKPOINT_FLAGS, 1, &shutoff->off},
        {"shutoff/rested", "steps", "steps that it has rested", integers, 1, &shutoff->rested},
    };
    /* clang-format on */
    memcpy(out, values, sizeof values);
    return SHUTOFF_VALUES;
}

/* The baseline of the advantages, where there is one. */
static int baseline_value(struct run *run, struct checkpoint_value *out) {
    *out = (struct checkpoint_value){
        "baseline",       "1", "moving mean of rewards that objective.advantage = ema is over",
        CHECKPOINT_REALS, 1,   &run->baseline};
    return run->settings->objective.advantage == SETTING_ADVANTAGE_EMA ? 1 : 0;
}

/* Of a teacher that is a moving mean. */
static int teacher_value(struct run *run, struct checkpoint_value *out) {
    *out = (struct checkpoint_value){
        "teacher/moves",     "steps", "moves of the teacher's mean so far",
        CHECKPOINT_INTEGERS, 1,       &run->teacher.moves};
    return run->teacher.mean != NULL ? 1 : 0;
}

/* Of a discriminator that makes a step of its own. */
enum { DISCRIMINATOR_VALUES = 2 };
static int discriminator_values(struct run *run,
                                struct checkpoint_value out[DISCRIMINATOR_VALUES]) {
    struct optimizer *optimizer = run->discriminator_optimizer;
    if (optimizer == NULL)
        return 0;
    /* clang-format off */
    const struct checkpoint_value values[DISCRIMINATOR_VALUES] = {
        {"discriminator/optimizer_steps", "steps", "steps that the moments of the discriminator's own optimizer have seen", CHECKPOINT_INTEGERS, 1, &optimizer->steps},
        {"discriminator/skipped_in_a_row", "steps", "steps of its own in a row that were skipped, up to this one", CHECKPOINT_INTEGERS, 1, &run->discriminator_skipped_in_a_row},
    };
    /* clang-format on */
    memcpy(out, values, sizeof values);
    return DISCRIMINATOR_VALUES;
}

/* The newest features of texts, where MAUVE is computed on the way. */
enum { MAUVE_VALUES = 3 };
static int mauve_values(struct run *run, struct checkpoint_value out[MAUVE_VALUES]) {
    struct mauve_recent *recent = &run->mauve.recent;
    /* clang-format off */
    const struct checkpoint_value values[MAUVE_VALUES] = {
        {"mauve/count", "groups", "groups of texts so far: number i stands at i modulo the groups there is room for", CHECKPOINT_INTEGERS, 1, &recent->count},
        {"mauve/features", "1", "features of the newest groups: of each the real text's, then those of the completions; NaN: a text without a token", CHECKPOINT_SINGLES, mauve_recent_size(recent), recent->features},
        {"mauve/weights", "1", "CRC-32 of the SHA-256 of the weights that the features are by", CHECKPOINT_INTEGERS, 1, &run->mauve.weights_sum},
    };
    /* clang-format on */
    memcpy(out, values, sizeof values);
    return run->mauve.on ? MAUVE_VALUES : 0;
}

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
        {"tau/log_scale", "1", "logarithm of the factor of tau_pos and tau_neg that objective.tau_control = eur has found", reals, 1, &run->tau.log_scale},
        {"tau/error", "1", "moving mean of log((1 - eur) / (1 - objective.eur_target))", reals, 1, &run->tau.error},
        {"best/step", "steps", "step of the best checkpoint by checkpoint.best, 0: none", integers, 1, &run->best.step},
        {"best/metric", "1", "CRC-32 of checkpoint.best", integers, 1, &run->best.metric},
        {"best/value", "1", "that metric at that step", reals, 1, &run->best.value},
        {"backend/algorithms", "1", "by which algorithms a library takes the products, in words of the backend; zeros where it has none", integers, BACKEND_ALGORITHM_WORDS, run->algorithms},
        {"data/position", "prompts", "prompts given so far: in all, then of each source of data.train", integers, stream_position_size(run->stream), run->position},
    };
    /* clang-format on */
    int count = (int)(sizeof values / sizeof *values);
    ASSERT(count < STATE_VALUES_MAX - SHUTOFF_VALUES - MAUVE_VALUES - DISCRIMINATOR_VALUES - 2);
    memcpy(out, values, sizeof values);
    count += baseline_value(run, out + count);
    count += teacher_value(run, out + count);
    count += discriminator_values(run, out + count);
    count += mauve_values(run, out + count);
    return count + (run->rule->shuts_off ? shutoff_values(run, out + count) : 0);
}

struct state_vector state_vector(const struct run *run, enum checkpoint_section section) {
    const bool packed = run->shard->size > 1;
    const struct optimizer *own = run->discriminator_optimizer;
    const struct state_vector vectors[CHECKPOINT_SECTIONS] = {
        [CHECKPOINT_PARAMETERS] = {run->master, false},
        [CHECKPOINT_EXP_AVG] = {run->optimizer->exp_avg, packed},
        [CHECKPOINT_EXP_AVG_SQ] = {run->optimizer->exp_avg_sq, packed},
        [CHECKPOINT_TEACHER] = {run->teacher.mean, packed},
        [CHECKPOINT_DISCRIMINATOR_EXP_AVG] = {own != NULL ? own->exp_avg : NULL, packed},
        [CHECKPOINT_DISCRIMINATOR_EXP_AVG_SQ] = {own != NULL ? own->exp_avg_sq : NULL, packed},
    };
    return vectors[section];
}

int state_vectors(const struct run *run) {
    int count = 0;
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        count += state_vector(run, (enum checkpoint_section)section).values != NULL;
    return count;
}

/* What the best is measured by, as a number: another metric begins anew. */
static int64_t best_metric(const struct run *run) {
    const char *name = run->settings->checkpoint.best;
    return name != NULL ? (int64_t)bytes_crc32(name, strlen(name)) : 0;
}

void state_gather(struct run *run) {
    const struct backend *backend = &run->lm.backend;
    stream_position_get(run->stream, run->position);
    backend->ops->algorithms_get(backend, run->algorithms);
    run->best.metric = best_metric(run);
}

enum status state_apply(struct run *run) {
    if (run->best.metric != best_metric(run))
        run->best = (struct best){.step = 0};
    run->lm.backend.ops->algorithms_set(&run->lm.backend, run->algorithms);
    TRY(mauve_watch_check(run));
    return stream_position_set(run->stream, run->position, stream_position_size(run->stream));
}
