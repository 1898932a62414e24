/* SPDX-License-Identifier: Apache-2.0
 *
 * From the state of a run to its checkpoints and its model.
 */
#include "run/save.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/finite.h"
#include "run/adapter_directory.h"
#include "run/checkpoint_folder.h"
#include "run/checkpoint_write.h"
#include "run/directory.h"
#include "run/model_directory.h"
#include "run/state.h"
#include "run/step_name.h"

enum { PIECE = 1 << 22 };

int64_t run_checkpoint_piece(const struct run *run) {
    return run->layout->elements < PIECE ? run->layout->elements : PIECE;
}

static enum status write_section(struct run *run, const struct checkpoint_writer *writer,
                                 enum checkpoint_section section, const float *values) {
    float *piece;
    const int64_t n = run->layout->elements;
    TRY(memory_new(&piece, run_checkpoint_piece(run), "checkpoint piece"));
    enum status status = STATUS_OK;
    for (int64_t at = 0; status == STATUS_OK && at < n; at += PIECE) {
        const int64_t count = n - at < PIECE ? n - at : PIECE;
        status = run->lm.backend.ops->download(&run->lm.backend, piece, values + at,
                                               (size_t)count * sizeof *piece);
        if (status == STATUS_OK)
            status = checkpoint_write_block(writer, section, at, piece, count);
    }
    memory_release(&piece);
    return status;
}

static enum status write_sections(struct run *run, const struct checkpoint_content *content,
                                  const char *path) {
    struct checkpoint_writer *writer;
    TRY(checkpoint_layout(&writer, path, content));
    enum status status = STATUS_OK;
    for (int section = 0; section < CHECKPOINT_SECTIONS && status == STATUS_OK; section++)
        status = write_section(run, writer, (enum checkpoint_section)section,
                               state_vector(run, (enum checkpoint_section)section));
    if (status != STATUS_OK) {
        checkpoint_abandon(&writer);
        return status;
    }
    return checkpoint_commit(&writer);
}

static enum status checkpoint_path(const struct run *run, char path[DIRECTORY_PATH_BYTES]) {
    char name[64], step[STEP_NAME_BYTES];
    snprintf(name, sizeof name, "checkpoints/%s", step_name(step, run->counters.step));
    return directory_path(run->settings->run.directory, path, name);
}

/* Remembers a checkpoint that has just been written, and says so. */
static enum status note_checkpoint(struct run *run, const char *path, double start_s) {
    struct stat info;
    if (stat(path, &info) != 0)
        return FAIL(STATUS_IO, "%s: it is gone again: %s", path, strerror(errno));
    run->files.checkpoint_step = run->counters.step;
    run->files.checkpoint_s = clock_now_s();
    durations_add(&run->wall.saves, run->files.checkpoint_s - start_s);
    log_info("checkpoint", "file = %s, bytes = %lld, seconds = %.2f", path, (long long)info.st_size,
             run->files.checkpoint_s - start_s);
    return STATUS_OK;
}

static enum status write_checkpoint(struct run *run) {
    char path[DIRECTORY_PATH_BYTES];
    const double start_s = clock_now_s();
    const struct parameter_set *trained = model_trained(run->lm.model);
    struct checkpoint_value state[STATE_VALUES_MAX];
    state_gather(run);
    const struct checkpoint_content content = {.parameters = trained->items,
                                               .parameter_count = trained->count,
                                               .optimizer = true,
                                               .state = state,
                                               .state_count = state_values(run, state),
                                               .settings = strbuf_text(&run->files.settings_text),
                                               .files = run->files.model,
                                               .provenance = &run->files.provenance};
    TRY(checkpoint_path(run, path));
    TRY(write_sections(run, &content, path));
    TRY(note_checkpoint(run, path, start_s));
    TRY(directory_path(run->settings->run.directory, path, "checkpoints"));
    return checkpoint_prune(path, run->settings->checkpoint.keep);
}

/* A checkpoint or a model that is not finite would take the place of a good one. */
static enum status check_vector(struct run *run, const float *vector, const char *of) {
    char what[64];
    snprintf(what, sizeof what, "after step %lld, %s", (long long)run->counters.step, of);
    return parameter_set_check_finite(model_trained(run->lm.model), &run->lm.backend, vector, what);
}

static enum status check_finite(struct run *run, bool optimizer) {
    TRY(check_vector(run, run->master, ""));
    if (!optimizer)
        return STATUS_OK;
    TRY(check_vector(run, run->optimizer->exp_avg, "the mean of gradients of "));
    return check_vector(run, run->optimizer->exp_avg_sq, "the mean of squared gradients of ");
}

enum status run_checkpoint_save(struct run *run) {
    TRY(state_check_whole(run));
    TRY(check_finite(run, true));
    return write_checkpoint(run);
}

bool run_checkpoint_is_due(const struct run *run, bool last) {
    const struct settings_checkpoint *checkpoint = &run->settings->checkpoint;
    if (last || (checkpoint->every > 0 && run->counters.step % checkpoint->every == 0))
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

static enum status save_model(struct run *run, const char *path) {
    const struct parameter_set *trained = model_trained(run->lm.model);
    const struct model_directory directory = {.parameters = trained->items,
                                              .parameter_count = trained->count,
                                              .read = read_master,
                                              .context = run,
                                              .files = run->files.model,
                                              .dtype = DTYPE_F32,
                                              .replace = true};
    TRY(add_note(run, run->files.model));
    return model_directory_write(&directory, path);
}

static enum status save_adapter(struct run *run, const char *path) {
    const struct parameter_set *trained = model_trained(run->lm.model);
    const struct model_file *config = model_files_find(run->files.model, ADAPTER_CONFIG_NAME);
    const struct tensor_source factors = {.parameters = trained->items,
                                          .count = trained->count,
                                          .dtype = DTYPE_F32,
                                          .read = read_master,
                                          .context = run};
    struct model_files files = {.count = 0};
    ASSERT(config != NULL);
    enum status status =
        model_files_add(&files, config->name, strbuf_text(&config->bytes), config->bytes.length);
    if (status == STATUS_OK)
        status = add_note(run, &files);
    if (status == STATUS_OK)
        status = adapter_directory_write(path, &files, &factors, true);
    model_files_release(&files);
    return status;
}

enum status run_model_save(struct run *run) {
    const char *const name = run->lm.adapter != NULL ? "adapter" : "model";
    char path[DIRECTORY_PATH_BYTES];
    TRY(check_finite(run, false));
    TRY(directory_path(run->settings->run.directory, path, name));
    TRY((run->lm.adapter != NULL ? save_adapter : save_model)(run, path));
    log_info("run", "%s = %s", name, path);
    return STATUS_OK;
}
