/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus mauve: how far two samples of texts are from each other (mauve/mauve.h). Every rank reads both
 * files; the features of texts are computed by all ranks and come together on rank 0, which compares.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/mauve_sample.h"
#include "mauve/mauve.h"
#include "run/adapter_directory.h"
#include "run/threads.h"

struct job {
    struct mauve_settings settings;
    struct mauve_sample p, q;
    const char *directory, *adapter_directory, *device;
    enum dtype dtype; /* of the matrices that are computed with */
    int64_t threads, tokens_per_pass;
    struct hparams hparams;
    struct tokenizer *tokenizer;
    struct backend backend;
    struct weights *weights;
    struct adapter *adapter;
    struct model *model;
};

static void job_release(struct job *job) {
    mauve_sample_release(&job->p);
    mauve_sample_release(&job->q);
    model_destroy(&job->model);
    adapter_destroy(&job->adapter);
    weights_destroy(&job->weights);
    if (job->backend.ops != NULL)
        backend_close(&job->backend);
    tokenizer_destroy(&job->tokenizer);
}

/* --- options --- */

static enum status read_start(const struct cli *cli, enum kmeans_start *start) {
    const char *const text = cli_value(cli, "start");
    char quoted[STATUS_QUOTE_MAX];
    if (text == NULL || strcmp(text, "permutation") == 0)
        *start = KMEANS_PERMUTATION;
    else if (strcmp(text, "kmeans++") == 0)
        *start = KMEANS_PLUS_PLUS;
    else
        return FAIL(STATUS_USAGE, "--start %s: it is permutation or kmeans++",
                    status_quote(quoted, text, SIZE_MAX));
    return STATUS_OK;
}

static enum status read_settings(const struct cli *cli, struct mauve_settings *settings) {
    int64_t seed = 25;
    *settings = MAUVE_DEFAULTS;
    TRY(cli_integer(cli, "buckets", 1, 1 << 24, &settings->buckets));
    TRY(cli_real(cli, "scaling", 1e-6, 1e6, &settings->scaling));
    TRY(cli_real(cli, "variance", 1e-6, 1.0, &settings->variance));
    TRY(cli_integer(cli, "restarts", 1, 1000, &settings->restarts));
    TRY(cli_integer(cli, "iterations", 1, 1000000, &settings->iterations));
    TRY(cli_integer(cli, "seed", 0, INT64_MAX, &seed));
    settings->seed = (uint64_t)seed;
    return read_start(cli, &settings->start);
}

static enum status read_sample(const struct cli *cli, const char *name, struct mauve_sample *out) {
    char option[16];
    out->path = cli_value(cli, name);
    snprintf(option, sizeof option, "%s-field", name);
    out->field = cli_given(cli, option) ? cli_value(cli, option) : "text";
    out->most_tokens = 1024;
    TRY(cli_integer(cli, "texts", 1, INT32_MAX, &out->limit));
    return cli_integer(cli, "max-tokens", 1, INT32_MAX, &out->most_tokens);
}

static enum status read_options(const struct cli *cli, struct job *job) {
    job->directory = cli_value(cli, "model");
    job->adapter_directory = cli_value(cli, "adapter");
    job->device = cli_given(cli, "device") ? cli_value(cli, "device") : "cpu";
    job->tokens_per_pass = 4096;
    TRY(cli_integer(cli, "threads", 0, 4096, &job->threads));
    TRY(cli_integer(cli, "tokens-per-pass", 1, 1 << 24, &job->tokens_per_pass));
    TRY(cli_precision(cli, &job->dtype));
    TRY(read_settings(cli, &job->settings));
    TRY(read_sample(cli, "p", &job->p));
    return read_sample(cli, "q", &job->q);
}

/* --- the samples --- */

static enum status open_tokenizer(struct job *job) {
    TRY(hparams_read(job->directory, &job->hparams));
    TRY(tokenizer_open(&job->tokenizer, job->directory));
    TRY(tokenizer_fit(job->tokenizer, job->hparams.V, job->directory));
    job->p.tokenizer = job->q.tokenizer = job->tokenizer;
    if (job->p.most_tokens > job->hparams.max_positions)
        job->p.most_tokens = job->q.most_tokens = job->hparams.max_positions;
    return STATUS_OK;
}

static enum status check_kinds(const struct job *job) {
    static const char *const names[] = {"texts", "features", "labels"};
    if (job->p.kind != job->q.kind)
        return FAIL(STATUS_INPUT, "%s holds %s, %s holds %s: both must be of one kind", job->p.path,
                    names[job->p.kind], job->q.path, names[job->q.kind]);
    if (job->p.kind == MAUVE_TEXTS && job->directory == NULL)
        return FAIL(STATUS_USAGE,
                    "%s holds texts: --model DIR names the model whose features are "
                    "taken",
                    job->p.path);
    if (job->p.kind != MAUVE_TEXTS && job->directory != NULL)
        return FAIL(STATUS_USAGE, "%s holds %s, which need no --model", job->p.path,
                    names[job->p.kind]);
    return STATUS_OK;
}

static enum status read_samples(struct job *job) {
    TRY(mauve_sample_kind_of(&job->p));
    TRY(mauve_sample_kind_of(&job->q));
    TRY(check_kinds(job));
    if (job->directory != NULL)
        TRY(open_tokenizer(job));
    TRY(mauve_sample_read(&job->p));
    TRY(mauve_sample_read(&job->q));
    if (job->p.kind == MAUVE_FEATURES && job->p.d != job->q.d)
        return FAIL(STATUS_INPUT,
                    "the features of %s have %" PRId64 " numbers, those of %s %" PRId64,
                    job->p.path, job->p.d, job->q.path, job->q.d);
    return STATUS_OK;
}

/* --- features --- */

static void report_texts(const struct mauve_sample *sample) {
    log_info("mauve",
             "%s: texts = %" PRId64 ", tokens = %" PRId64 ", cut = %" PRId64 ", empty = %" PRId64,
             sample->path, sample->n, sample->texts.ids.count, sample->texts.cut,
             sample->texts.empty);
}

static enum status open_model(struct job *job) {
    const int64_t a = job->p.texts.longest, b = job->q.texts.longest;
    const struct model_settings settings = {.max_positions = a > b ? a : b};
    TRY(backend_open(&job->backend, job->device, job->settings.threads));
    TRY(weights_create(&job->weights, &job->backend, &job->hparams, job->dtype));
    TRY(weights_load(job->weights, job->directory, NULL, NULL));
    if (job->adapter_directory != NULL)
        TRY(adapter_directory_open(&job->adapter, job->adapter_directory, &job->backend,
                                   &job->hparams, job->dtype));
    return model_create(&job->model, job->weights, job->adapter, &settings);
}

static enum status compute_features(struct job *job, struct comm *comm) {
    report_texts(&job->p);
    report_texts(&job->q);
    TRY(comm_agree(comm, open_model(job)));
    job->p.d = job->q.d = job->hparams.C;
    TRY(features_compute(comm, job->model, &job->p.texts, job->tokens_per_pass, &job->p.features));
    return features_compute(comm, job->model, &job->q.texts, job->tokens_per_pass,
                            &job->q.features);
}

static enum status write_features(const struct cli *cli, const struct job *job) {
    const struct mauve_sample *const samples[] = {&job->p, &job->q};
    static const char *const options[] = {"p-features", "q-features"};
    for (int i = 0; i < 2; i++)
        if (cli_given(cli, options[i]))
            TRY(mauve_sample_write(samples[i], cli_value(cli, options[i]), job->settings.threads));
    return STATUS_OK;
}

/* --- the comparison, on rank 0 --- */

static enum status compare(const struct job *job, struct mauve_report *report) {
    const struct mauve_sample *p = &job->p, *q = &job->q;
    if (p->kind == MAUVE_LABELS)
        return mauve_of_labels(
            &(struct mauve_labels){.p = p->labels, .q = q->labels, .p_n = p->n, .q_n = q->n},
            &job->settings, report);
    return mauve_of_features(
        &(struct mauve_features){
            .p = p->features, .q = q->features, .p_n = p->n, .q_n = q->n, .d = p->d},
        &job->settings, report);
}

/* A sample so small that shares of buckets are noise gets numbers that look like any others. The default is ten texts a bucket. */
static void warn_of_few(const struct job *job, int64_t buckets) {
    const struct mauve_sample *const less = job->p.n < job->q.n ? &job->p : &job->q;
    if (less->n + 5 < 10 * buckets)
        log_warning("mauve",
                    "%" PRId64 " texts of %s for %" PRId64 " buckets: with fewer than ten for each "
                    "the numbers tell the noise of the counts more than the texts",
                    less->n, less->path, buckets);
}

static enum status report(const struct cli *cli, const struct job *job) {
    struct mauve_report found;
    TRY(write_features(cli, job));
    TRY(compare(job, &found));
    warn_of_few(job, found.buckets);
    log_info("mauve",
             "p = %" PRId64 ", q = %" PRId64 ", buckets = %" PRId64 ", components = %" PRId64
             ", inertia = %.6g",
             job->p.n, job->q.n, found.buckets, found.components, found.inertia);
    printf("{\"mauve\": %.17g, \"frontier_integral\": %.17g, \"mauve_star\": %.17g, "
           "\"frontier_integral_star\": %.17g, \"num_buckets\": %" PRId64 "}\n",
           found.score.mauve, found.score.frontier_integral, found.score.mauve_star,
           found.score.frontier_integral_star, found.buckets);
    return STATUS_OK;
}

static enum status run_job(const struct cli *cli, struct job *job, struct comm *comm) {
    TRY(threads_choose(comm, (int)job->threads, &job->settings.threads));
    TRY(comm_agree(comm, read_samples(job)));
    if (job->p.kind == MAUVE_TEXTS)
        TRY(comm_agree(comm, compute_features(job, comm)));
    return comm_agree(comm, comm->rank == 0 ? report(cli, job) : STATUS_OK);
}

static enum status run(struct cli *cli) {
    struct job job = {.directory = NULL};
    struct comm comm;
    TRY(read_options(cli, &job));
    TRY(cli_comm_open(cli, &comm));
    const enum status status = run_job(cli, &job, &comm);
    job_release(&job);
    return cli_comm_close(cli, &comm, status);
}

const struct cli_command cmd_mauve = {
    .name = "mauve",
    .arguments = "",
    .text = "MAUVE and frontier integral of two samples of texts",
    .more =
        "A file holds JSON lines with texts, {\"text\": …} or as gradus generate writes them, or is\n"
        "HDF5 with /features (texts, width) or with /labels (texts): numbers of buckets, and then\n"
        "nothing is clustered. The feature of a text is the last hidden state of --model at its last\n"
        "token. Prints one JSON object: mauve, frontier_integral, both again as mauve_star and\n"
        "frontier_integral_star with ½ added to each count, and num_buckets. Defaults are those of\n"
        "mauve-text; numbers compare only where model, buckets and scaling are the same.",
    .options = {{"p", "F", "the texts that are the measure, as those of people", true},
                {"q", "F", "the texts that are judged, as those of a model", true},
                {"p-field", "NAME", "field of a line of --p that holds the text [text]", false},
                {"q-field", "NAME", "the same of --q [text]", false},
                {"texts", "N", "so many texts of each file at most [all]", false},
                {"model", "DIR", "Hugging Face model directory; needed for texts", false},
                {"adapter", "DIR", "peft adapter that is added to it", false},
                {"precision", "fp32|bf16", "what matrices are held in [fp32]", false},
                {"max-tokens", "N", "a text is cut after so many tokens [1024]", false},
                {"p-features", "F.h5", "where the features of --p go, for another call", false},
                {"q-features", "F.h5", "the same of --q", false},
                {"buckets", "N", "clusters [a tenth of the smaller sample]", false},
                {"scaling", "C", "c of exp(-c KL) [5]", false},
                {"variance", "SHARE", "of it that the principal components keep [0.9]", false},
                {"start", "NAME", "of k-means: permutation or kmeans++ [permutation]", false},
                {"restarts", "N", "starts of k-means, of which the best is kept [5]", false},
                {"iterations", "N", "of one start at most [500]", false},
                {"seed", "N", "of k-means [25]", false},
                {"device", "NAME", "what computes: cpu, check or cuda [cpu]", false},
                {"threads", "N", "threads of a rank, 0 for one per core [0]", false},
                {"tokens-per-pass", "N", "texts are packed up to this many tokens [4096]", false}},
    .run = run,
};
