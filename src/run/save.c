/* SPDX-License-Identifier: Apache-2.0
 *
 * When a checkpoint is due, which is the best, and the model at the end.
 */
#include "run/save.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/finite.h"
#include "run/adapter_directory.h"
#include "run/directory.h"
#include "run/model_directory.h"

enum status run_checkpoint_check_best(const struct run *run) {
    const char *name = run->settings->checkpoint.best;
    char quoted[STATUS_QUOTE_MAX];
    double value;
    if (name == NULL || metric_find(name + (name[0] == '-')) < METRIC_COUNT ||
        run_evaluation_figure(run, name + (name[0] == '-'), &value))
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: checkpoint.best = %s is no metric of diagnostics.h5: take one as reward, "
                "-loss for the smallest, or eval/NAME/pass_at_1 of a set of eval.sets beside "
                "eval.every",
                settings_origin(run->settings, "checkpoint.best"),
                status_quote(quoted, name, SIZE_MAX));
}

/* What checkpoint.best says of the last finished step, NaN where it says nothing; *evaluated: it is a
 * figure of an evaluation. */
static double best_value(const struct run *run, const struct metrics *metrics, bool *evaluated) {
    const char *name = run->settings->checkpoint.best;
    double value = (double)NAN;
    *evaluated = false;
    if (name == NULL)
        return value;
    name += name[0] == '-';
    *evaluated = run_evaluation_figure(run, name, &value);
    if (*evaluated || metrics == NULL)
        return value;
    return metrics->step[metric_find(name)];
}

/* Whether it is better than at the best step so far. */
static bool is_better(const struct run *run, double value) {
    const bool least =
        run->settings->checkpoint.best != NULL && run->settings->checkpoint.best[0] == '-';
    if (isnan(value))
        return false;
    return run->best.step == 0 || (least ? value < run->best.value : value > run->best.value);
}

void run_checkpoint_rate(struct run *run, const struct metrics *metrics) {
    bool evaluated;
    const double value = best_value(run, metrics, &evaluated);
    if (run->counters.step == 0 || !is_better(run, value))
        return;
    run->best.step = run->counters.step;
    run->best.value = value;
}

bool run_checkpoint_is_due(const struct run *run, const struct metrics *metrics, bool last) {
    const struct settings_checkpoint *checkpoint = &run->settings->checkpoint;
    bool evaluated;
    const double value = best_value(run, metrics, &evaluated);
    if (last || (checkpoint->every > 0 && run->counters.step % checkpoint->every == 0))
        return true;
    if (evaluated && is_better(run, value))
        return true;
    return checkpoint->every_s > 0 &&
           clock_now_s() - run->files.checkpoint_s >= (double)checkpoint->every_s;
}

/* `read` of a model directory: one parameter out of the backend's master. */
static enum status read_master(void *context, const struct parameter *parameter, float *out) {
    struct run *run = context;
    return run->lm.backend.ops->download(&run->lm.backend, out, run->master + parameter->offset,
                                         (size_t)(parameter->rows * parameter->columns) *
                                             sizeof *out);
}

/* The note by which a later run knows whose a model or an adapter is. */
static enum status add_note(const struct run *run, struct model_files *files) {
    json_t *root =
        json_pack("{s:s, s:I}", "run", run->files.id, "step", (json_int_t)run->counters.step);
    char *text = json_dumps(root, 0);
    json_decref(root);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "%s: memory ran out", DIRECTORY_RESULT_NOTE);
    const enum status status = model_files_add(files, DIRECTORY_RESULT_NOTE, text, strlen(text));
    free(text);
    return status;
}

static struct tensor_source source_of(struct run *run, const struct parameter_set *set) {
    return (struct tensor_source){.parameters = set->items,
                                  .count = set->count,
                                  .dtype = DTYPE_F32,
                                  .read = read_master,
                                  .context = run};
}

/* Without tensors where there is no discriminator. */
static struct tensor_source head_of(struct run *run) {
    static const struct parameter_set none = {.count = 0};
    const struct discriminator *head = run->lm.discriminator;
    return source_of(run, head != NULL ? discriminator_parameters(head) : &none);
}

static enum status save_model(struct run *run, const char *path) {
    const struct parameter_set *weights = model_trained(run->lm.model);
    const struct model_directory directory = {.parameters = weights->items,
                                              .parameter_count = weights->count,
                                              .read = read_master,
                                              .context = run,
                                              .head = head_of(run),
                                              .files = run->files.model,
                                              .dtype = DTYPE_F32,
                                              .replace = true};
    TRY(add_note(run, run->files.model));
    return model_directory_write(&directory, path);
}

static enum status save_adapter(struct run *run, const char *path) {
    const struct model_file *config = model_files_find(run->files.model, ADAPTER_CONFIG_NAME);
    const struct tensor_source factors = source_of(run, model_trained(run->lm.model)),
                               head = head_of(run);
    struct model_files files = {.count = 0};
    ASSERT(config != NULL);
    enum status status =
        model_files_add(&files, config->name, strbuf_text(&config->bytes), config->bytes.length);
    if (status == STATUS_OK)
        status = add_note(run, &files);
    if (status == STATUS_OK)
        status = adapter_directory_write(path, &files, &factors, &head, true);
    model_files_release(&files);
    return status;
}

enum status run_model_save(struct run *run) {
    const char *const name = run->lm.adapter != NULL ? "adapter" : "model";
    char path[DIRECTORY_PATH_BYTES];
    char what[64]; /* a model that is not finite would take the place of a good one */
    snprintf(what, sizeof what, "after step %lld, ", (long long)run->counters.step);
    TRY(parameter_set_check_finite(language_model_trained(&run->lm), &run->lm.backend, run->master,
                                   what));
    TRY(directory_path(run->settings->run.directory, path, name));
    TRY((run->lm.adapter != NULL ? save_adapter : save_model)(run, path));
    log_info("run", "%s = %s", name, path);
    return STATUS_OK;
}
