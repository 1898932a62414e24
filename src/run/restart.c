/* SPDX-License-Identifier: Apache-2.0
 *
 * A run becomes what it was when a checkpoint was written, and what later steps left behind goes.
 */
#include "run/restart.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "file/bytes.h"
#include "file/provenance.h"
#include "run/adapter_directory.h"
#include "run/checkpoint_folder.h"
#include "run/checkpoint_read.h"
#include "run/placement.h"
#include "run/run.h"
#include "run/state.h"
#include "run/step_name.h"

enum { PIECE = 1 << 22 };

/* --- loading --- */

/* Elements [begin, end) of a section to `to`, in pieces through host memory. */
static enum status load_range(struct language_model *lm, const struct checkpoint *checkpoint,
                              enum checkpoint_section section, int64_t begin, int64_t end,
                              float *to, float *piece) {
    const struct parameter_set *trained = language_model_trained(lm);
    struct backend *backend = &lm->backend;
    for (int64_t i = 0; i < trained->count; i++) {
        const struct parameter *p = &trained->items[i];
        const int64_t first = begin > p->offset ? begin : p->offset,
                      last = p->offset + p->rows * p->columns, stop = end < last ? end : last;
        for (int64_t at = first; at < stop; at += PIECE) {
            const int64_t n = stop - at < PIECE ? stop - at : PIECE;
            TRY(checkpoint_read_block(checkpoint, section, p, at - p->offset, n, piece));
            TRY(backend->ops->upload(backend, to + (at - begin), piece, (size_t)n * sizeof *piece));
        }
    }
    return STATUS_OK;
}

static enum status load_vector(struct run *run, const struct checkpoint *checkpoint,
                               enum checkpoint_section section, float *piece) {
    const struct state_vector vector = state_vector(run, section);
    const struct shard *deal = run->deal;
    if (vector.values == NULL)
        return STATUS_OK;
    if (!vector.packed)
        return load_range(&run->lm, checkpoint, section, 0, run->layout->elements, vector.values,
                          piece);
    for (int64_t i = 0; i < shard_range_count(deal, deal->rank); i++) {
        const struct shard_range range = shard_range_at(deal, deal->rank, i);
        TRY(load_range(&run->lm, checkpoint, section, range.begin, range.end,
                       vector.values + range.place, piece));
    }
    return STATUS_OK;
}

/* A model without a head, as of an evaluation, takes what is its own of a checkpoint with one. */
static enum status check_count(const struct language_model *lm,
                               const struct checkpoint *checkpoint) {
    const struct parameter_set *trained = language_model_trained(lm);
    int64_t all, count = 0;
    const struct parameter *parameters = checkpoint_parameters(checkpoint, &all);
    for (int64_t i = 0; i < all; i++)
        count += lm->discriminator != NULL || !discriminator_names(parameters[i].name);
    if (count == trained->count)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s holds %lld tensors; the model of this run trains %lld: it is of another run",
                checkpoint_name(checkpoint), (long long)count, (long long)trained->count);
}

static enum status load_vectors(struct run *run, const struct checkpoint *checkpoint) {
    float *piece;
    TRY(check_count(&run->lm, checkpoint));
    TRY(memory_new(&piece, PIECE, "checkpoint piece"));
    enum status status = STATUS_OK;
    for (int section = 0; section < CHECKPOINT_SECTIONS && status == STATUS_OK; section++)
        status = load_vector(run, checkpoint, (enum checkpoint_section)section, piece);
    memory_release(&piece);
    return status;
}

static enum status load_parameters(struct language_model *lm, const struct checkpoint *checkpoint,
                                   float *master) {
    const struct parameter_set *trained = language_model_trained(lm);
    float *piece;
    TRY(check_count(lm, checkpoint));
    TRY(memory_new(&piece, PIECE, "checkpoint piece"));
    const enum status status =
        load_range(lm, checkpoint, CHECKPOINT_PARAMETERS, 0, trained->elements, master, piece);
    memory_release(&piece);
    return status == STATUS_OK ? language_model_refresh(lm, master) : status;
}

enum status restart_load_parameters(struct language_model *lm, const char *path, float *master) {
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, path, true));
    const enum status status = load_parameters(lm, checkpoint, master);
    checkpoint_close(&checkpoint);
    return status;
}

static enum status load_state(struct run *run, const struct checkpoint *checkpoint) {
    struct checkpoint_value values[STATE_VALUES_MAX];
    const int count = state_values(run, values);
    TRY(checkpoint_read_state(checkpoint, values, count));
    TRY(state_apply(run));
    TRY(load_vectors(run, checkpoint));
    return language_model_refresh(&run->lm, run->master);
}

/* The data must be the same bytes, wherever they lie now. */
static enum status check_data(const struct run *run, const struct checkpoint *checkpoint) {
    char *sums;
    int64_t stride, count;
    TRY(checkpoint_inputs(checkpoint, &sums, &stride, &count));
    enum status status = STATUS_OK;
    if (count != stream_source_count(run->stream))
        status = FAIL(STATUS_INPUT, "%s: it knows %lld files of data; there are %d",
                      checkpoint_name(checkpoint), (long long)count,
                      (int)stream_source_count(run->stream));
    for (int32_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct dataset *dataset = stream_dataset(run->stream, i);
        if (strcmp(sums + i * stride, dataset->sha256) != 0)
            status =
                FAIL(STATUS_INPUT,
                     "%s is not the file any more that %s was written with: a run goes on with "
                     "the data that it began with; give that file back, or start over with "
                     "--fresh",
                     dataset->path, checkpoint_name(checkpoint));
    }
    memory_release(&sums);
    return status;
}

/* So must what decides how the model reads and computes; what the adapter says of its base, its
 * path, may differ. */
static enum status compare_files(const struct run *run, const struct model_files *before,
                                 const struct model_files *now) {
    for (int i = 0; i < before->count; i++) {
        const struct model_file *file = &before->files[i],
                                *other = model_files_find(now, file->name);
        if (strcmp(file->name, ADAPTER_CONFIG_NAME) == 0)
            continue;
        if (other == NULL || other->bytes.length != file->bytes.length ||
            memcmp(strbuf_text(&other->bytes), strbuf_text(&file->bytes), file->bytes.length) != 0)
            return FAIL(
                STATUS_INPUT,
                "%s/%s is not the file any more that the run began with: a run goes on with "
                "its model; give that file back, or start over with --fresh",
                run->settings->model.path, file->name);
    }
    return STATUS_OK;
}

/* So must the weights under an adapter, of the reference, and at the beginning. */
static enum status check_weights(const struct run *run, const struct checkpoint *checkpoint) {
    struct strbuf before = STRBUF_EMPTY;
    enum status status = checkpoint_provenance(checkpoint, "weights", &before);
    if (status == STATUS_OK && strcmp(strbuf_text(&before), run->weights_sha256) != 0)
        status = FAIL(STATUS_INPUT,
                      "the weights in %s are not those any more that %s was written with (SHA-256 "
                      "of all tensors %.16s…, was %.16s…): a run goes on with its model; give "
                      "those weights back, or start over with --fresh",
                      run->settings->model.path, checkpoint_name(checkpoint), run->weights_sha256,
                      strbuf_text(&before));
    strbuf_release(&before);
    return status;
}

static enum status check_model(const struct run *run, const struct checkpoint *checkpoint) {
    struct model_files *files; /* before and now */
    TRY(memory_new(&files, 2, "model files"));
    enum status status = checkpoint_files(checkpoint, &files[0]);
    if (status == STATUS_OK)
        status = language_model_files(&run->lm, run->settings, &files[1]);
    if (status == STATUS_OK)
        status = compare_files(run, &files[0], &files[1]);
    if (status == STATUS_OK)
        status = check_weights(run, checkpoint);
    model_files_release(&files[0]);
    model_files_release(&files[1]);
    memory_release(&files);
    return status;
}

/* What the bits depend on beside the input: the build and the kind of machine. */
static enum status tell_origin(const struct run *run, const struct checkpoint *checkpoint,
                               const struct restart *restart) {
    struct strbuf devices = STRBUF_EMPTY, here = STRBUF_EMPTY, build = STRBUF_EMPTY,
                  now = STRBUF_EMPTY;
    enum status status = checkpoint_provenance(checkpoint, "devices", &devices);
    if (status == STATUS_OK)
        status = placement_device(&run->lm.backend, &here);
    if (status == STATUS_OK)
        status = checkpoint_build(checkpoint, &build);
    if (status == STATUS_OK)
        status = provenance_build(&now);
    if (status == STATUS_OK) {
        log_info("run", "goes on after step %lld, from %s", (long long)restart->step,
                 restart->path);
        if (strcmp(strbuf_text(&devices), strbuf_text(&here)) != 0)
            log_warning("run",
                        "bits may differ from step %lld on: it was computed by %s before, and is "
                        "by %s now",
                        (long long)restart->step + 1, strbuf_text(&devices), strbuf_text(&here));
        if (strcmp(strbuf_text(&build), strbuf_text(&now)) != 0)
            log_warning("run",
                        "bits may differ from step %lld on: the program was %s before, and is %s "
                        "now",
                        (long long)restart->step + 1, strbuf_text(&build), strbuf_text(&now));
    }
    strbuf_release(&devices);
    strbuf_release(&here);
    strbuf_release(&build);
    strbuf_release(&now);
    return status;
}

struct loading {
    struct run *run;
    const struct restart *restart;
};

/* Changes nothing that a second try would not change back. */
static enum status load(void *context) {
    struct run *run = ((struct loading *)context)->run;
    const struct restart *restart = ((struct loading *)context)->restart;
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, restart->path, false));
    enum status status = STATUS_OK;
    if (run->comm->rank == 0) {
        status = check_data(run, checkpoint);
        if (status == STATUS_OK)
            status = check_model(run, checkpoint);
    }
    if (status == STATUS_OK)
        status = load_state(run, checkpoint);
    if (status == STATUS_OK && run->comm->rank == 0)
        status = tell_origin(run, checkpoint, restart);
    if (status == STATUS_OK && run->counters.step != restart->step)
        status = FAIL(STATUS_INPUT, "%s was written after step %lld: it has another run's name",
                      restart->path, (long long)run->counters.step);
    checkpoint_close(&checkpoint);
    return status;
}

enum status restart_load(struct run *run, const struct restart *restart) {
    if (restart->path[0] == '\0')
        return STATUS_OK;
    TRY(comm_agree(run->comm,
                   checkpoint_retry(load, &(struct loading){.run = run, .restart = restart})));
    return teacher_restore(run);
}

/* --- what later steps left --- */

/* Removes a step's file, or puts it aside under another name. */
static enum status drop_file(DIR *folder, const char *path, const char *name, const char *aside) {
    const int at = dirfd(folder);
    char other[320];
    snprintf(other, sizeof other, "%s%s", name, aside != NULL ? aside : "");
    const bool done = aside != NULL ? renameat(at, name, at, other) == 0
                                    : unlinkat(at, name, 0) == 0 || errno == ENOENT;
    return done ? STATUS_OK
                : FAIL(STATUS_IO, "%s/%s: it cannot be removed: %s", path, name, strerror(errno));
}

/* The files of steps after `step` in a folder of the run. */
static enum status drop_steps(const struct settings *settings, const char *name, int64_t step,
                              const char *aside) {
    char path[DIRECTORY_PATH_BYTES];
    enum status status = STATUS_OK;
    int64_t dropped = 0;
    TRY(directory_path(settings->run.directory, path, name));
    DIR *folder = opendir(path);
    if (folder == NULL)
        return FAIL(STATUS_IO, "%s: the folder cannot be read: %s", path, strerror(errno));
    for (const struct dirent *entry; status == STATUS_OK && (entry = readdir(folder)) != NULL;)
        if (step_name_parse(entry->d_name) > step) {
            status = drop_file(folder, path, entry->d_name, aside);
            dropped++;
        }
    if (status == STATUS_OK && dropped > 0 && fsync(dirfd(folder)) != 0 && errno != EINVAL)
        status =
            FAIL(STATUS_IO, "%s: the folder cannot be synchronised: %s", path, strerror(errno));
    closedir(folder);
    if (dropped > 0)
        log_info("run", "%s: %lld files of steps after %lld %s", path, (long long)dropped,
                 (long long)step, aside != NULL ? "put aside: they cannot be used" : "removed");
    return status;
}

enum status restart_take_back(const struct settings *settings, const struct restart *restart) {
    char path[DIRECTORY_PATH_BYTES];
    int64_t last;
    TRY(drop_steps(settings, "checkpoints", restart->step,
                   restart->picked != NULL ? NULL : CHECKPOINT_DAMAGED));
    TRY(drop_steps(settings, "rollouts", restart->step, NULL));
    TRY(directory_path(settings->run.directory, path, "metrics.jsonl"));
    TRY(metrics_cut(path, restart->step, &last));
    if (restart->again && last != restart->step && bytes_is_file(path))
        log_warning("run", "%s: the lines of steps %lld to %lld are lost", path,
                    (long long)last + 1, (long long)restart->step);
    return STATUS_OK;
}
