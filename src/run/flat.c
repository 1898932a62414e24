/* SPDX-License-Identifier: Apache-2.0 */
#include "run/flat.h"

#include <math.h>

/* Steps in a row before the user hears of it, and how often after that. */
enum { STEPS_WARN = 5 };

#define DIVERGED                                                                                   \
    "the run has diverged: start again with a smaller optimizer.learning_rate, or with "           \
    "objective.kl_coef above 0"

bool flat_watch(struct flat *flat, const struct metrics *metrics) {
    const double *const step = metrics->step;
    if (step[METRIC_ADVANTAGE_MAX] == 0.0) {
        flat->steps++;
        return flat->steps % STEPS_WARN == 0;
    }
    /* A metric that the step does not have is NaN and changes nothing. */
    flat->steps = 0;
    flat->had_form = flat->had_form || step[METRIC_FORMAT_MEAN] > 0.1;
    flat->had_end = flat->had_end || step[METRIC_CLIPPED_RATIO] < 0.5;
    flat->longest_tokens = fmax(flat->longest_tokens, step[METRIC_MEAN_LENGTH]);
    return false;
}

const char *flat_reason(const struct flat *flat, const struct metrics *metrics) {
    const double *const step = metrics->step;
    const double tokens = step[METRIC_MEAN_LENGTH];
    if (!isfinite(step[METRIC_ENTROPY]) || !isfinite(step[METRIC_LOSS]))
        return "loss or entropy is not a number, " DIVERGED;
    if (tokens < 2.0 && flat->longest_tokens > 4.0 * tokens)
        return "answers have shrunk to nothing, " DIVERGED;
    if (step[METRIC_FORMAT_MEAN] == 0.0 && flat->had_form)
        return "answers have lost the form that they had, " DIVERGED;
    if (step[METRIC_CLIPPED_RATIO] == 1.0 && flat->had_end)
        return "answers no longer come to an end, " DIVERGED;
    if (tokens < 2.0)
        return "every answer ends at once: check that prompt.chat is the form of this model";
    if (step[METRIC_FORMAT_MEAN] == 0.0)
        return "no answer has the form that the format reward asks for: show it in "
               "prompt.template, or teach it by run.method = \"sft\" first";
    if (step[METRIC_CLIPPED_RATIO] == 1.0)
        return "every answer is cut at rollout.max_new_tokens: raise it, or check that the model "
               "knows prompt.chat and ends its answers";
    if (step[METRIC_ENTROPY] < 1e-3)
        return "the model gives the same answer every time: raise rollout.temperature, or start "
               "from a model that is less sure";
    return "the prompts are too easy or too hard for these rewards: take others, or raise "
           "rollout.group_size";
}
