/* SPDX-License-Identifier: Apache-2.0 */
#include "run/mauve_watch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "file/bytes.h"
#include "mauve/features.h"
#include "method/groups.h"
#include "rollout/budgets.h"
#include "run/run.h"

/* --- opening --- */

static struct mauve_settings settings_of(const struct settings_mauve *mauve, int threads) {
    return (struct mauve_settings){.buckets = mauve->buckets,
                                   .scaling = mauve->scaling,
                                   .variance = mauve->variance,
                                   .restarts = mauve->restarts,
                                   .iterations = mauve->iterations,
                                   .start = (enum kmeans_start)mauve->start,
                                   .seed = (uint64_t)mauve->seed,
                                   .threads = threads};
}

/* A plan for another machine may do without a tokenizer. */
static enum status open_reader(struct run *run, const char *directory) {
    struct mauve_watch *watch = &run->mauve;
    TRY(hparams_read(directory, &watch->hparams));
    if (run->plans && run->lm.absent.features)
        return STATUS_OK;
    TRY(tokenizer_open(&watch->tokenizer, directory));
    return tokenizer_fit(watch->tokenizer, watch->hparams.V, directory);
}

enum status mauve_watch_open(struct run *run) {
    const struct settings_mauve *settings = &run->settings->mauve;
    struct mauve_watch *watch = &run->mauve;
    if (settings->every == 0)
        return STATUS_OK;
    watch->on = true;
    watch->how = settings_of(settings, run->lm.backend.threads);
    watch->hparams = run->lm.hparams;
    if (settings->features != NULL)
        TRY(open_reader(run, settings->features));
    watch->most_tokens = settings->max_tokens < watch->hparams.max_positions
                             ? settings->max_tokens
                             : watch->hparams.max_positions;
    if (settings->features == NULL && watch->most_tokens > run->max_positions)
        run->max_positions = watch->most_tokens;
    return STATUS_OK;
}

void mauve_watch_close(struct run *run) {
    tokenizer_destroy(&run->mauve.tokenizer);
}

static enum status load_reader(struct run *run, const char *directory) {
    struct mauve_watch *watch = &run->mauve;
    TRY(weights_create(&watch->weights, &run->lm.backend, &watch->hparams,
                       language_model_dtype(run->settings)));
    if (run->plans)
        return weights_plan_load(watch->weights, run->lm.absent.features ? NULL : directory, NULL);
    TRY(fingerprint_init(&watch->fingerprint, run->comm->rank, run->comm->size,
                         weights_parameters(watch->weights)->count));
    return weights_load(watch->weights, directory, NULL, &watch->fingerprint);
}

enum status mauve_watch_reserve(struct run *run) {
    const struct settings_mauve *settings = &run->settings->mauve;
    struct mauve_watch *watch = &run->mauve;
    struct model_settings how = {.max_positions = watch->most_tokens};
    if (!watch->on)
        return STATUS_OK;
    if (settings->features != NULL)
        TRY(load_reader(run, settings->features));
    else
        how.shares = run->lm.model;
    TRY(model_create(&watch->model, watch->weights != NULL ? watch->weights : run->lm.weights, NULL,
                     &how));
    return mauve_recent_init(&watch->recent, settings->generations,
                             run->method->group_size(run->settings), watch->hparams.C);
}

void mauve_watch_unreserve(struct run *run) {
    struct mauve_watch *watch = &run->mauve;
    mauve_recent_release(&watch->recent);
    model_destroy(&watch->model);
    weights_destroy(&watch->weights);
    fingerprint_release(&watch->fingerprint);
}

/* --- whose features they are --- */

static int64_t sum_of(const struct mauve_watch *watch) {
    return (int64_t)bytes_crc32(watch->weights_sha256, strlen(watch->weights_sha256));
}

enum status mauve_watch_identify(struct run *run) {
    struct mauve_watch *watch = &run->mauve;
    struct fingerprint *fingerprint = &watch->fingerprint;
    if (!watch->on)
        return STATUS_OK;
    memcpy(watch->weights_sha256, run->weights_sha256, sizeof watch->weights_sha256);
    if (watch->weights != NULL) {
        TRY(comm_sum_exact(run->comm, fingerprint->words, FINGERPRINT_WORDS * fingerprint->count));
        fingerprint_text(fingerprint, watch->weights_sha256);
    }
    watch->weights_sum = sum_of(watch);
    return STATUS_OK;
}

enum status mauve_watch_check(struct run *run) {
    const char *const directory = run->settings->mauve.features;
    if (!run->mauve.on || run->mauve.weights_sum == sum_of(&run->mauve))
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "the weights in %s are not those any more that the checkpoint's features of texts "
                "are by (mauve.features): a run goes on with the measure that it began with; give "
                "those weights back, or start over with --fresh",
                directory != NULL ? directory : run->settings->model.path);
}

/* --- texts --- */

/* A completion: what stands behind the closing tag of the thinking and the white space there. Without a
 * tag it is the whole text, or, where thinking has a budget, nothing, since it has not ended. */
static struct utf8_span completion_of(const struct settings *settings, struct utf8_span text) {
    char tag[BUDGET_TAG_BYTES];
    snprintf(tag, sizeof tag, "</%s>", settings->reward.think_tag);
    const size_t n = strlen(tag);
    size_t at = 0;
    while (at + n <= text.length && memcmp(text.text + at, tag, n) != 0)
        at++;
    if (at + n > text.length)
        return settings->rollout.think_tokens == 0 ? text : (struct utf8_span){text.text, 0};
    for (at += n; at < text.length && memchr(" \t\r\n", text.text[at], 4) != NULL;)
        at++;
    return (struct utf8_span){text.text + at, text.length - at};
}

/* Of a group text 0 is the real one; those that the run has written follow. */
static struct utf8_span text_of(const struct run *run, int64_t g, int64_t i) {
    const struct rollout *rollout = &run->step.rollout;
    const struct strbuf *text =
        i == 0 ? &rollout->groups[g].reference : &rollout_group_answers(rollout, g)[i - 1].text;
    const struct utf8_span span = {strbuf_text(text), text->length};
    return i == 0 ? span : completion_of(run->settings, span);
}

/* What a step takes in: of each group what mauve_recent holds of it, and of this rank's the texts. */
struct intake {
    float *groups; /* (groups, 1 + group_size, d) */
    struct feature_texts texts;
    float *features; /* (texts.count, d) */
};

static void intake_release(struct intake *intake) {
    memory_release(&intake->groups);
    feature_texts_release(&intake->texts);
    memory_release(&intake->features);
}

static float *place_of(const struct run *run, const struct intake *intake, int64_t g, int64_t i) {
    return intake->groups + g * mauve_recent_stride(&run->mauve.recent) + i * run->mauve.recent.d;
}

/* The texts of this rank's groups; a place whose text has no token says so. */
static enum status read_texts(struct run *run, struct intake *intake) {
    struct mauve_watch *watch = &run->mauve;
    struct tokenizer *tokenizer = watch->tokenizer != NULL ? watch->tokenizer : run->lm.tokenizer;
    for (int64_t g = 0; g < run->step.rollout.group_count; g++)
        for (int64_t i = 0; i <= watch->recent.group_size; i++) {
            const int64_t before = intake->texts.count;
            if (!groups_own(&run->tiles, run->comm, g))
                continue;
            const struct utf8_span text = text_of(run, g, i);
            TRY(feature_texts_append(&intake->texts, tokenizer, text.text, text.length,
                                     watch->most_tokens));
            if (intake->texts.count == before)
                *place_of(run, intake, g, i) = NAN;
        }
    return STATUS_OK;
}

static enum status compute_features(struct run *run, struct intake *intake) {
    const int64_t d = run->mauve.recent.d;
    TRY(memory_new(&intake->features, intake->texts.count * d, "features of a step"));
    return features_of_texts(run->mauve.model, &intake->texts, 0, intake->texts.count,
                             run->settings->parallel.tokens_per_pass, &run->pulse,
                             intake->features);
}

static void place_features(const struct run *run, struct intake *intake) {
    const int64_t d = run->mauve.recent.d;
    const float *next = intake->features;
    for (int64_t g = 0; g < run->step.rollout.group_count; g++)
        for (int64_t i = 0; i <= run->mauve.recent.group_size; i++) {
            float *place = place_of(run, intake, g, i);
            if (!groups_own(&run->tiles, run->comm, g) || isnan(*place))
                continue;
            memcpy(place, next, (size_t)d * sizeof *place);
            next += d;
        }
}

static enum status reserve_groups(const struct run *run, struct intake *intake) {
    return memory_new(&intake->groups,
                      run->step.rollout.group_count * mauve_recent_stride(&run->mauve.recent),
                      "features of a step");
}

static enum status compute_own(struct run *run, struct intake *intake) {
    TRY(reserve_groups(run, intake));
    TRY(read_texts(run, intake));
    TRY(compute_features(run, intake));
    place_features(run, intake);
    return STATUS_OK;
}

static enum status take_in(struct run *run) {
    const int64_t groups = run->step.rollout.group_count,
                  stride = mauve_recent_stride(&run->mauve.recent);
    struct intake intake = {.groups = NULL};
    enum status status = comm_agree(run->comm, compute_own(run, &intake));
    if (status == STATUS_OK)
        status = groups_share(&run->tiles, run->comm, 0, groups, intake.groups,
                              (size_t)stride * sizeof *intake.groups);
    for (int64_t g = 0; status == STATUS_OK && g < groups; g++)
        mauve_recent_add(&run->mauve.recent, intake.groups + g * stride);
    intake_release(&intake);
    return status;
}

/* --- the comparison --- */

/* On rank 0. */
static enum status compare(struct run *run) {
    struct mauve_watch *watch = &run->mauve;
    struct mauve_report report;
    const double start_s = clock_now_s();
    TRY(mauve_recent_compare(&watch->recent, &watch->how, &report, &watch->generations));
    if (watch->generations == 0)
        return STATUS_OK;
    watch->score = report.score;
    log_info(
        "mauve",
        "step = %lld, mauve = %.4f, frontier_integral = %.4f, mauve_star = %.4f, "
        "frontier_integral_star = %.4f, generations = %lld, empty = %lld, buckets = %lld, components = "
        "%lld, "
        "seconds = %.2f",
        (long long)run->counters.step + 1, watch->score.mauve, watch->score.frontier_integral,
        watch->score.mauve_star, watch->score.frontier_integral_star, (long long)watch->generations,
        (long long)(mauve_recent_written(&watch->recent) - watch->generations),
        (long long)report.buckets, (long long)report.components, clock_now_s() - start_s);
    return STATUS_OK;
}

static enum status compare_for_all(struct run *run) {
    struct mauve_watch *watch = &run->mauve;
    TRY(comm_agree(run->comm, run->comm->rank == 0 ? compare(run) : STATUS_OK));
    TRY(comm_broadcast(run->comm, &watch->generations, sizeof watch->generations, 0));
    return comm_broadcast(run->comm, &watch->score, sizeof watch->score, 0);
}

enum status mauve_watch_step(struct run *run) {
    const int64_t step = run->counters.step + 1;
    const double start_s = clock_now_s();
    if (!run->mauve.on)
        return STATUS_OK;
    heartbeat_phase(run->heartbeat, "mauve", step);
    run->mauve.generations = 0;
    TRY(take_in(run));
    if (step % run->settings->mauve.every == 0)
        TRY(compare_for_all(run));
    run->step.clock.mauve_s = clock_now_s() - start_s;
    return STATUS_OK;
}

/* --- plans --- */

int64_t mauve_watch_longest(const struct run *run) {
    const int64_t completion = run->settings->adversarial.completion_tokens,
                  answer = run->longest.answer, longest = completion > answer ? completion : answer;
    return longest < run->mauve.most_tokens ? longest : run->mauve.most_tokens;
}

/* As many texts as this rank's groups have, each as long as it may be. */
static enum status longest_texts(const struct run *run, struct feature_texts *texts) {
    const int64_t n = mauve_watch_longest(run);
    for (int64_t g = 0; g < run->step.rollout.group_count; g++)
        texts->count +=
            groups_own(&run->tiles, run->comm, g) ? 1 + run->mauve.recent.group_size : 0;
    TRY(memory_new(&texts->ends, texts->count, "ends of texts"));
    TRY(memory_new(&texts->ids.ids, texts->count * n, "token ids"));
    for (int64_t i = 0; i < texts->count; i++)
        texts->ends[i] = (i + 1) * n;
    return STATUS_OK;
}

static enum status rehearse(struct run *run, struct intake *intake) {
    char *scratch;
    TRY(reserve_groups(run, intake));
    TRY(longest_texts(run, &intake->texts));
    TRY(compute_features(run, intake));
    TRY(memory_pretend(&scratch, (size_t)mauve_recent_scratch(&run->mauve.recent), 1,
                       "comparison of features"));
    memory_release(&scratch);
    return STATUS_OK;
}

int64_t mauve_watch_bytes(const struct run *run) {
    const struct mauve_recent recent =
        mauve_recent_of(run->settings->mauve.generations, run->method->group_size(run->settings),
                        run->mauve.hparams.C);
    return run->mauve.on ? mauve_recent_size(&recent) * (int64_t)sizeof *recent.features : 0;
}

enum status mauve_watch_rehearse(struct run *run) {
    struct intake intake = {.groups = NULL};
    const enum status status = run->mauve.on ? rehearse(run, &intake) : STATUS_OK;
    intake_release(&intake);
    return status;
}
