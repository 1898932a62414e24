/* SPDX-License-Identifier: Apache-2.0 */
#include "run/report.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/printable.h"
#include "base/stop.h"
#include "base/utf8.h"

enum { PROMPT_SHOWN = 120, ANSWER_SHOWN = 400 }; /* characters */

static void warn_of_setting(const char *sentence) {
    log_warning("settings", "%s", sentence);
}

enum status report_start(const struct run *run) {
    for (int32_t i = 0; i < stream_source_count(run->stream); i++)
        log_info("data", "source = %s, prompts = %lld, left_out_as_too_long = %lld",
                 stream_dataset(run->stream, i)->path, (long long)stream_kept(run->stream, i),
                 (long long)stream_left_out(run->stream, i));
    char how[STOP_TEXT_BYTES];
    log_info("run", "to stop with a checkpoint: %s", stop_command(how));
    log_info("run", "method = %s, parameters = %lld, ranks = %d, threads = %d, tiles = %lld",
             run->method->name, (long long)run->layout->elements, run->comm->size,
             run->lm.backend.threads, (long long)run->tiles.count);
    if (run->comm->rank != 0)
        return STATUS_OK;
    if (!run->settings->prompt.thinking && run->settings->prompt.chat == SETTING_CHAT_AUTO &&
        run->lm.style.form != CHAT_QWEN3)
        log_warning("settings",
                    "%s: prompt.thinking = false has no effect: the chat form of this "
                    "model is not qwen3",
                    settings_origin(run->settings, "prompt.thinking"));
    return settings_unused(run->settings, warn_of_setting);
}

/* --- a step --- */

/* The mean of each part by the run's own names. */
static enum status append_parts(const struct run *run, const double *step, struct strbuf *line) {
    char path[128];
    for (int64_t p = 0; p < run->settings->reward.parts_count; p++) {
        const char *name = run->settings->reward.parts[p].name;
        snprintf(path, sizeof path, "rewards/%s/mean", name);
        const enum metric metric = metric_find(path);
        if (metric < METRIC_COUNT)
            TRY(strbuf_append_format(line, ", %s = %.3f", name, step[metric]));
    }
    return STATUS_OK;
}

/* The effective update ratio is that of the last pass that was taken (a rule that falls back takes
 * fewer): in the first one it is 1 by definition. */
static enum status append_rewards(const struct run *run, const struct metrics *metrics,
                                  struct strbuf *line) {
    const double *step = metrics->step;
    TRY(strbuf_append_format(line, ", reward = %.3f", step[METRIC_REWARD]));
    TRY(append_parts(run, step, line));
    return strbuf_append_format(line, ", eur_last_pass = %.3f, entropy = %.3f, length = %.1f",
                                metrics_pass(metrics, METRIC_EUR)[run->step.pass_count - 1],
                                step[METRIC_ENTROPY], step[METRIC_MEAN_LENGTH]);
}

static enum status append_taught(const double *step, struct strbuf *line) {
    return strbuf_append_format(
        line, ", divergence = %.4g, agreement = %.3f, entropy = %.3f, length = %.1f",
        step[METRIC_DISTILL_DIVERGENCE], step[METRIC_DISTILL_AGREEMENT], step[METRIC_ENTROPY],
        step[METRIC_MEAN_LENGTH]);
}

static enum status append_game(const double *step, struct strbuf *line) {
    return strbuf_append_format(
        line, ", d_loss = %.4g, told_real = %.3f, told_written = %.3f, length_right = %.3f",
        step[METRIC_D_LOSS], step[METRIC_ACCURACY_REAL], step[METRIC_ACCURACY_WRITTEN],
        step[METRIC_LENGTH_RIGHT]);
}

static enum status compose_step(const struct run *run, const struct metrics *metrics, double step_s,
                                struct strbuf *line) {
    const double *step = metrics->step;
    const int64_t steps = run->settings->run.steps, left = steps - run->counters.step;
    TRY(strbuf_append_format(line, "step = %lld/%lld, loss = %.4g", (long long)run->counters.step,
                             (long long)steps, step[METRIC_LOSS]));
    if (method_rewards(run->method))
        TRY(append_rewards(run, metrics, line));
    if (run->method->distils)
        TRY(append_taught(step, line));
    if (run->method->discriminates)
        TRY(append_game(step, line));
    return strbuf_append_format(line, ", tokens_per_s = %.0f, step_s = %.2f, left_s = %.0f",
                                step[METRIC_TOKENS_PER_S], step[METRIC_TIME_STEP],
                                step_s * (double)left);
}

/* --- an answer --- */

/* The last characters of a text, in quotes and escaped. */
static enum status append_end(const struct strbuf *text, struct strbuf *line) {
    char shown[8 * PROMPT_SHOWN];
    const char *bytes = strbuf_text(text);
    size_t begin = text->length;
    for (int i = 0; i < PROMPT_SHOWN && begin > 0; i++) {
        int32_t character;
        begin -= utf8_step_back(bytes, begin, &character);
    }
    printable(shown, sizeof shown, SIZE_MAX, "\"", bytes + begin, text->length - begin);
    return strbuf_append_format(line, "\"%s%s\"", begin > 0 ? "…" : "", shown);
}

/* The answer shown: of this rank's first group, another one of the group each time. */
static const struct rollout_answer *choose_answer(const struct run *run,
                                                  const struct rollout_group **group) {
    const struct rollout *rollout = &run->step.rollout;
    const int64_t turn = run->counters.step / run->settings->output.show_every;
    for (int64_t g = 0; g < rollout->group_count; g++)
        if (tiles_of_group(&run->tiles, g)->owner == run->comm->rank) {
            *group = &rollout->groups[g];
            return &rollout_group_answers(rollout, g)[turn % rollout->group_size];
        }
    return NULL;
}

static enum status compose_answer(const struct run *run, const struct rollout_group *group,
                                  const struct rollout_answer *answer, struct strbuf *line) {
    char shown[8 * ANSWER_SHOWN];
    TRY(strbuf_append_text(line, "prompt = "));
    TRY(append_end(&group->text, line));
    TRY(strbuf_append_text(line, ", reference = "));
    TRY(append_end(&group->reference, line));
    printable(shown, sizeof shown, ANSWER_SHOWN, "\"", strbuf_text(&answer->text),
              answer->text.length);
    TRY(strbuf_append_format(line, ", answer = \"%s\", tokens = %lld", shown,
                             (long long)answer->n));
    if (!method_rewards(run->method))
        return STATUS_OK;
    TRY(strbuf_append_format(line, ", reward = %.3f", answer->reward));
    for (int64_t p = 0; p < run->settings->reward.parts_count; p++)
        TRY(strbuf_append_format(line, ", reward_%s = %.3f", run->settings->reward.parts[p].name,
                                 answer->parts[p]));
    return STATUS_OK;
}

static void tell_answer(const struct run *run) {
    struct strbuf line = STRBUF_EMPTY;
    const struct rollout_group *group;
    const struct rollout_answer *answer = choose_answer(run, &group);
    if (answer != NULL && compose_answer(run, group, answer, &line) == STATUS_OK)
        log_info("answer", "%s", strbuf_text(&line));
    strbuf_release(&line);
}

static void tell_step(const struct run *run, const struct metrics *metrics, double step_s) {
    struct strbuf line = STRBUF_EMPTY;
    if (compose_step(run, metrics, step_s, &line) == STATUS_OK) {
        log_info("run", "%s", strbuf_text(&line));
        if (isatty(STDERR_FILENO))
            log_live("%s", strbuf_text(&line));
    }
    strbuf_release(&line);
}

/* A line that memory is short for is left out: no reason to end a run. */
void report_step(const struct run *run, const struct metrics *metrics, double step_s) {
    const int64_t every = run->settings->output.show_every;
    if (run->comm->rank != 0)
        return;
    tell_step(run, metrics, step_s);
    if (!run->method->likelihood && every > 0 && run->counters.step % every == 0)
        tell_answer(run);
}
