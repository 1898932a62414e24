/* SPDX-License-Identifier: Apache-2.0
 *
 * Self-distillation in the input file: the generations of OPSD as presets, and what contradicts
 * itself. The texts are those of the paper and of the authors' program (siyan-zhao/OPSD); what
 * asks for a reason, before {reason}, is ours.
 */
#include "config/parameter.h"

#include <string.h>

#define STEP_BY_STEP "Please reason step by step, and put your final answer within \\boxed{}."
#define STUDENT      "Problem: {prompt}\n\n" STEP_BY_STEP
#define PLAIN        "{prompt}\n\nHere is a reference solution to this problem:\n{solution}\n"
#define BEGIN_END                                                                                  \
    "Problem: {prompt}\n\nHere is a reference solution to this problem:\n"                         \
    "=== Reference Solution Begin ===\n{solution}\n=== Reference Solution End ===\n"
#define ASK                                                                                        \
    "\nExplain the reasoning behind each step of this solution. Do not solve the problem "         \
    "anew.\n{reason}"

/* What a preset sets, each where nobody gave it. */
struct preset {
    const char *before, *transition; /* of the teacher's template, around the reason */
    int divergence;
    double clip;
    bool thinking; /* of the student; the teacher's is on */
};

static const struct preset presets[] = {
    [SETTING_PRESET_V1] = {PLAIN,
                           "\n\nAfter understanding the reference solution, please try to solve "
                           "this problem using your own approach below:\n\n" STEP_BY_STEP,
                           SETTING_DIVERGENCE_JSD, 0.0, true},
    [SETTING_PRESET_MARCH3] = {PLAIN,
                               "\n\nAfter understanding the reference solution and the rationale "
                               "behind each step, now articulate your own step-by-step reasoning "
                               "that derives the same final answer to the problem "
                               "below:\n\n" STEP_BY_STEP,
                               SETTING_DIVERGENCE_JSD, 0.0, true},
    [SETTING_PRESET_MARCH18] =
        {BEGIN_END,
         "\n\nAfter reading the reference solution above, make sure you truly understand the "
         "reasoning behind each step — do not copy or paraphrase it. Now, using your own words and "
         "independent reasoning, derive the same final answer to the problem above. Think step by "
         "step, explore different approaches, and don't be afraid to backtrack or reconsider if "
         "something doesn't work out:\n\n" STEP_BY_STEP,
         SETTING_DIVERGENCE_FORWARD_KL, 0.05, false},
};

static const char origin[] = "derived from distill.preset";

static enum status derive_template(struct settings *settings, const struct preset *preset) {
    struct strbuf text = STRBUF_EMPTY;
    enum status status =
        strbuf_append_format(&text, "%s%s%s", preset->before,
                             settings->distill.reason_first ? ASK : "", preset->transition);
    if (status == STATUS_OK)
        status = settings_derives_text(settings, SETTING_ID_distill_teacher_template, origin,
                                       &settings->distill.teacher_template, strbuf_text(&text));
    strbuf_release(&text);
    return status;
}

static enum status derive_preset(struct settings *settings, const struct preset *preset) {
    struct settings_distill *const distill = &settings->distill;
    bool so;
    TRY(settings_derives_text(settings, SETTING_ID_prompt_template, origin,
                              &settings->prompt.template, STUDENT));
    TRY(derive_template(settings, preset));
    TRY(settings_derives(settings, SETTING_ID_prompt_thinking, origin, &so));
    settings->prompt.thinking = so ? preset->thinking : settings->prompt.thinking;
    TRY(settings_derives(settings, SETTING_ID_distill_teacher_thinking, origin, &so));
    distill->teacher_thinking = so || distill->teacher_thinking;
    TRY(settings_derives(settings, SETTING_ID_distill_divergence, origin, &so));
    distill->divergence = so ? preset->divergence : distill->divergence;
    TRY(settings_derives(settings, SETTING_ID_distill_beta, origin, &so));
    distill->beta = so ? 0.5 : distill->beta;
    TRY(settings_derives(settings, SETTING_ID_distill_clip, origin, &so));
    distill->clip = so ? preset->clip : distill->clip;
    return STATUS_OK;
}

enum status settings_derive_distill(struct settings *settings) {
    static const char method[] = "derived from run.method";
    bool so;
    if (settings->run.method != SETTING_METHOD_OPSD)
        return STATUS_OK;
    TRY(settings_derives(settings, SETTING_ID_rollout_group_size, method, &so));
    settings->rollout.group_size = so ? 1 : settings->rollout.group_size;
    TRY(settings_derives(settings, SETTING_ID_rollout_max_new_tokens, method, &so));
    settings->rollout.max_new_tokens = so ? 2048 : settings->rollout.max_new_tokens;
    if (settings->distill.preset == SETTING_PRESET_NONE)
        return STATUS_OK;
    return derive_preset(settings, &presets[settings->distill.preset]);
}

static enum status check_template(const struct settings *settings) {
    const char *const text = settings->distill.teacher_template;
    const char *const place = settings_origin(settings, "distill.teacher_template");
    if (text == NULL)
        return FAIL(STATUS_INPUT,
                    "run.method = \"opsd\" needs distill.teacher_template, what the teacher reads, "
                    "with {prompt} and {solution} in it; or distill.preset, which brings one");
    if (strstr(text, "{prompt}") == NULL)
        return FAIL(STATUS_INPUT,
                    "%s: distill.teacher_template does not hold {prompt}, the place of the row's "
                    "prompt",
                    place);
    const char *const reason = strstr(text, SETTINGS_REASON);
    if (settings->distill.reason_first != (reason != NULL))
        return FAIL(STATUS_INPUT,
                    "%s: distill.teacher_template %s " SETTINGS_REASON ", the place of what the "
                    "teacher writes first, and distill.reason_first is %s",
                    place, reason != NULL ? "holds" : "does not hold",
                    settings->distill.reason_first ? "true" : "false");
    if (reason != NULL &&
        (strstr(reason + 1, SETTINGS_REASON) != NULL || strstr(reason, "{prompt}") != NULL ||
         strstr(reason, "{solution}") != NULL))
        return FAIL(STATUS_INPUT,
                    "%s: distill.teacher_template holds another placeholder behind " SETTINGS_REASON
                    ": what follows it must be the same for all rows",
                    place);
    return STATUS_OK;
}

static enum status check_estimator(const struct settings *settings) {
    const struct settings_distill *const distill = &settings->distill;
    const bool clip = distill->clip > 0.0;
    if (distill->estimator != SETTING_ESTIMATOR_SAMPLED || (!clip && distill->top_k == 0))
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: distill.estimator = \"sampled\" looks at the token that was drawn alone, so "
                "%s has no meaning beside it: set it to 0",
                settings_origin(settings, "distill.estimator"),
                clip ? "distill.clip" : "distill.top_k");
}

/* Both rules compare gradients of one objective. */
static enum status check_rule(const struct settings *settings) {
    if (settings->update.rule == SETTING_RULE_SINGLE ||
        settings->distill.teacher == SETTING_TEACHER_INITIAL)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: update.rule = \"%s\" compares gradients of one loss, and a teacher that "
                "moves with each step (distill.teacher = \"%s\") makes it another one: take "
                "\"single\", or distill.teacher = \"initial\"",
                settings_origin(settings, "update.rule"), settings_word(settings, "update.rule"),
                settings_word(settings, "distill.teacher"));
}

enum status settings_check_distill(const struct settings *settings) {
    if (settings->run.method != SETTING_METHOD_OPSD)
        return STATUS_OK;
    for (int64_t i = 0; i < settings->data.train_count; i++)
        if (settings->data.train[i].messages[0] != '\0')
            return FAIL(STATUS_INPUT,
                        "%s: data.train[%lld] gives messages, and the teacher of opsd reads a "
                        "prompt and its solution: give prompt, answer and solution",
                        settings_origin(settings, "data.train"), (long long)i);
    if (settings->data.corpus_count > 0)
        return FAIL(STATUS_INPUT,
                    "%s: data.corpus has no solutions, and the teacher of opsd reads one: give "
                    "data.train",
                    settings_origin(settings, "data.corpus"));
    TRY(check_template(settings));
    TRY(check_estimator(settings));
    return check_rule(settings);
}
