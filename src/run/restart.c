/* SPDX-License-Identifier: Apache-2.0 */
#include "run/restart.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

enum { SETTINGS_BYTES_MAX = 1 << 24, PIECE = 1 << 22 };

/* --- which checkpoint --- */

static enum status checkpoint_path(const struct settings *settings, int64_t step,
                                   char path[DIRECTORY_PATH_BYTES]) {
    char name[64], file[STEP_NAME_BYTES];
    snprintf(name, sizeof name, "checkpoints/%s", step_name(file, step));
    return directory_path(settings->run.directory, path, name);
}

static enum status fail_all_damaged(const struct settings *settings, int64_t count,
                                    const char *newest) {
    return FAIL(STATUS_INPUT,
                "%s: none of its %lld checkpoints is good (%s): name one elsewhere by --restart, "
                "or start over with --fresh",
                settings->run.directory, (long long)count, newest);
}

/* The newest of the steps whose file is whole; a damaged one is named. */
static enum status choose_step(const struct settings *settings, const int64_t *steps, int64_t count,
                               struct restart *restart) {
    char newest[STATUS_SENTENCE_MAX / 2] = "";
    for (int64_t i = 0; i < count; i++) {
        TRY(checkpoint_path(settings, steps[i], restart->path));
        const enum status status = checkpoint_verify(restart->path);
        if (status == STATUS_OK) {
            restart->step = steps[i];
            return STATUS_OK;
        }
        if (status != STATUS_INPUT) /* a disk that cannot be read says nothing of the file */
            return status;
        log_warning("checkpoint", "%s%s", status_sentence(),
                    i + 1 < count ? "; the one before is tried" : "");
        if (i == 0)
            snprintf(newest, sizeof newest, "%s", status_sentence());
        status_clear();
    }
    restart->path[0] = '\0';
    return count > 0 ? fail_all_damaged(settings, count, newest) : STATUS_OK;
}

static enum status choose_newest(const struct settings *settings, struct restart *restart) {
    char folder[DIRECTORY_PATH_BYTES];
    int64_t *steps, count;
    TRY(directory_path(settings->run.directory, folder, "checkpoints"));
    TRY(checkpoint_list(folder, &steps, &count));
    const enum status status = choose_step(settings, steps, count, restart);
    memory_release(&steps);
    return status;
}

/* Whether the file stands in the checkpoints/ of the directory. */
static bool is_own(const struct settings *settings, const char *path) {
    char folder[DIRECTORY_PATH_BYTES], own[DIRECTORY_PATH_BYTES];
    struct stat a, b;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) : 1,
             slash != NULL ? path : ".");
    return directory_path(settings->run.directory, own, "checkpoints") == STATUS_OK &&
           stat(folder[0] != '\0' ? folder : "/", &a) == 0 && stat(own, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A checkpoint of this run, or of another one whose files stay where they are. */
static enum status choose_picked(const struct settings *settings, struct restart *restart) {
    const char *slash = strrchr(restart->picked, '/');
    const int64_t step = step_name_parse(slash != NULL ? slash + 1 : restart->picked);
    const bool own = is_own(settings, restart->picked);
    if (restart->again && !own)
        return FAIL(STATUS_INPUT,
                    "%s holds a run, and %s is not a checkpoint of it: choose another "
                    "run.directory, or give --fresh as well",
                    settings->run.directory, restart->picked);
    if (restart->fresh && own)
        return FAIL(STATUS_INPUT,
                    "--fresh removes the files of the run in %s, and so %s: leave --fresh out to "
                    "go on from there",
                    settings->run.directory, restart->picked);
    if (step < 0)
        return FAIL(STATUS_INPUT, "%s: a checkpoint is called step-NNNNNN.h5", restart->picked);
    if (snprintf(restart->path, DIRECTORY_PATH_BYTES, "%s", restart->picked) >=
        DIRECTORY_PATH_BYTES)
        return FAIL(STATUS_INPUT, "a path of %zu bytes is too long", strlen(restart->picked));
    restart->step = step;
    return checkpoint_verify(restart->path);
}

/* --- whether the settings let it go on --- */

/* What differs, as far as a sentence goes. */
struct changes {
    struct strbuf refused, allowed;
};

static enum status note_change(void *context, const struct settings_difference *difference) {
    struct changes *changes = context;
    struct strbuf *list = difference->may_change ? &changes->allowed : &changes->refused;
    char before[STATUS_QUOTE_MAX], now[STATUS_QUOTE_MAX];
    return strbuf_append_format(
        list, "%s%s is %s, was %s", list->length > 0 ? "; " : "", difference->name,
        difference->now[0] != '\0' ? status_quote(now, difference->now, SIZE_MAX) : "absent",
        difference->before[0] != '\0' ? status_quote(before, difference->before, SIZE_MAX)
                                      : "absent");
}

static enum status judge(const struct settings *settings, const struct changes *changes) {
    if (changes->refused.length > 0)
        return FAIL(
            STATUS_INPUT,
            "the run in %s began with other settings: %.600s; these may not change%s%.100s: "
            "give them their values back, choose another run.directory, or start over with "
            "--fresh",
            settings->run.directory, strbuf_text(&changes->refused),
            changes->allowed.length > 0 ? ", but this may: " : "", strbuf_text(&changes->allowed));
    if (changes->allowed.length > 0)
        log_info("settings", "other than before: %s", strbuf_text(&changes->allowed));
    return STATUS_OK;
}

static enum status compare(const struct settings *settings, const struct settings *before) {
    struct changes changes = {.refused = STRBUF_EMPTY, .allowed = STRBUF_EMPTY};
    enum status status = settings_compare(before, settings, note_change, &changes);
    if (status == STATUS_OK)
        status = judge(settings, &changes);
    strbuf_release(&changes.refused);
    strbuf_release(&changes.allowed);
    if (status == STATUS_OK && before->run.steps != settings->run.steps &&
        settings->optimizer.schedule != SETTING_SCHEDULE_CONSTANT)
        log_warning("settings",
                    "optimizer.schedule runs over run.steps: from here on the learning rate is "
                    "that of a run of %lld steps, as before it was that of one of %lld",
                    (long long)settings->run.steps, (long long)before->run.steps);
    if (status == STATUS_OK && before->run.steps != settings->run.steps &&
        settings->objective.tau_control == SETTING_TAU_CONTROL_SCHEDULE)
        log_warning("settings",
                    "objective.tau_control = \"schedule\" runs over run.steps: from here on tau is "
                    "that of a run of %lld steps, as before it was that of one of %lld",
                    (long long)settings->run.steps, (long long)before->run.steps);
    return status;
}

/* `text` is a settings.cfg, from the file of that name or from a checkpoint. */
static enum status compare_text(const struct settings *settings, const char *path,
                                const struct strbuf *text) {
    struct settings before;
    TRY(settings_read_text(path, strbuf_text(text), text->length, NULL, 0, SETTINGS_FOR_TRAINING,
                           &before));
    const enum status status = compare(settings, &before);
    settings_release(&before);
    return status;
}

static enum status read_checkpoint_settings(const char *path, struct strbuf *text) {
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, path, false));
    const enum status status = checkpoint_settings(checkpoint, text);
    checkpoint_close(&checkpoint);
    return status;
}

/* A run without a checkpoint is told by its settings.cfg, which it wrote at its start. */
static enum status check_settings(const struct settings *settings, const struct restart *restart) {
    struct strbuf text = STRBUF_EMPTY;
    char path[DIRECTORY_PATH_BYTES];
    enum status status = STATUS_OK;
    snprintf(path, sizeof path, "%s", restart->path);
    if (restart->path[0] != '\0') {
        status = read_checkpoint_settings(path, &text);
    } else {
        TRY(directory_path(settings->run.directory, path, "settings.cfg"));
        if (!bytes_is_file(path))
            return STATUS_OK;
        status = bytes_read_file(path, SETTINGS_BYTES_MAX, &text);
    }
    if (status == STATUS_OK)
        status = compare_text(settings, path, &text);
    strbuf_release(&text);
    if (status == STATUS_OK && restart->step > settings->run.steps)
        status = FAIL(STATUS_INPUT,
                      "run.steps = %lld is less than the %lld steps that %s has behind it: raise "
                      "it, or pick an earlier checkpoint with --restart",
                      (long long)settings->run.steps, (long long)restart->step, restart->path);
    return status;
}

static enum status choose(const struct settings *settings, struct restart *restart) {
    const struct directory_starts starts = {.model = settings->model.path,
                                            .adapter = settings->lora.adapter};
    bool found;
    TRY(directory_check(settings->run.directory, &starts, &found));
    restart->again = found && !restart->fresh;
    if (restart->picked != NULL)
        TRY(choose_picked(settings, restart));
    else if (restart->again)
        TRY(choose_newest(settings, restart));
    return restart->again || restart->path[0] != '\0' ? check_settings(settings, restart)
                                                      : STATUS_OK;
}

enum status restart_choose(const struct settings *settings, struct comm *comm,
                           struct restart *restart) {
    restart->again = false;
    restart->step = 0;
    restart->path[0] = '\0';
    TRY(comm_agree(comm, comm->rank == 0 ? choose(settings, restart) : STATUS_OK));
    TRY(comm_broadcast(comm, &restart->again, sizeof restart->again, 0));
    TRY(comm_broadcast(comm, &restart->step, sizeof restart->step, 0));
    return comm_broadcast(comm, restart->path, sizeof restart->path, 0);
}

/* --- loading --- */

/* Elements [begin, end) of a section to `to`, in pieces through host memory. */
static enum status load_range(struct run *run, const struct checkpoint *checkpoint,
                              enum checkpoint_section section, int64_t begin, int64_t end,
                              float *to, float *piece) {
    const struct parameter_set *trained = model_trained(run->lm.model);
    struct backend *backend = &run->lm.backend;
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
    if (!vector.packed)
        return load_range(run, checkpoint, section, 0, run->layout->elements, vector.values, piece);
    for (int64_t i = 0; i < shard_range_count(deal, deal->rank); i++) {
        const struct shard_range range = shard_range_at(deal, deal->rank, i);
        TRY(load_range(run, checkpoint, section, range.begin, range.end,
                       vector.values + range.place, piece));
    }
    return STATUS_OK;
}

static enum status load_vectors(struct run *run, const struct checkpoint *checkpoint) {
    const struct parameter_set *trained = model_trained(run->lm.model);
    int64_t count;
    float *piece;
    (void)checkpoint_parameters(checkpoint, &count);
    if (count != trained->count)
        return FAIL(
            STATUS_INPUT,
            "%s holds %lld tensors; the model of this run trains %lld: it is of another run",
            checkpoint_name(checkpoint), (long long)count, (long long)trained->count);
    TRY(memory_new(&piece, PIECE, "checkpoint piece"));
    enum status status = STATUS_OK;
    for (int section = 0; section < CHECKPOINT_SECTIONS && status == STATUS_OK; section++)
        status = load_vector(run, checkpoint, (enum checkpoint_section)section, piece);
    memory_release(&piece);
    return status;
}

static enum status load_state(struct run *run, const struct checkpoint *checkpoint) {
    struct checkpoint_value values[STATE_VALUES_MAX];
    const int count = state_values(run, values);
    TRY(checkpoint_read_state(checkpoint, values, count));
    TRY(state_apply(run));
    TRY(load_vectors(run, checkpoint));
    return model_refresh(run->lm.model, run->master);
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

static enum status check_model(const struct run *run, const struct checkpoint *checkpoint) {
    struct model_files *files; /* before and now */
    TRY(memory_new(&files, 2, "model files"));
    enum status status = checkpoint_files(checkpoint, &files[0]);
    if (status == STATUS_OK)
        status = model_files_read(&files[1], run->settings->model.path);
    if (status == STATUS_OK)
        status = compare_files(run, &files[0], &files[1]);
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

static enum status load(struct run *run, const struct restart *restart) {
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
    return comm_agree(run->comm, load(run, restart));
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
                 (long long)step, aside != NULL ? "put aside: they are damaged" : "removed");
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
