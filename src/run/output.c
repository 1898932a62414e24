/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a run (design, section 8). Rank 0 writes; whatever it meets, all ranks hear of it at
 * the end of the call.
 */
#include "run/run.h"

#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "run/checkpoint.h"
#include "run/diagnostics.h"
#include "run/model_directory.h"
#include "run/rollout_file.h"

enum { PATH_LENGTH = 4096 };

/* run.directory/format…; too long a name is a sentence. */
static enum status path_in(const struct run *run, char out[PATH_LENGTH], const char *name) {
    if (snprintf(out, PATH_LENGTH, "%s/%s", run->settings->run.directory, name) >= PATH_LENGTH)
        return FAIL(STATUS_INPUT, "run.directory is longer than %d characters", PATH_LENGTH);
    return STATUS_OK;
}

static enum status make_directory(const char *path) {
    char part[PATH_LENGTH];
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1;; at++) {
        const char end = *at;
        if (end != '/' && end != '\0')
            continue;
        *at = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return FAIL(STATUS_INPUT, "%s: the folder cannot be made: %s", part, strerror(errno));
        *at = end;
        if (end == '\0')
            return STATUS_OK;
    }
}

/* --- opening --- */

/* Everything that a run writes, as patterns inside its directory. */
static const char *const run_files[] = {
    "settings.cfg",          "log.txt",        "status.json",
    "metrics.jsonl",         "diagnostics.h5", "rollouts/step-*.h5",
    "checkpoints/step-*.h5", "*.part",         "rollouts/*.part",
    "checkpoints/*.part",    "model/*"};

static enum status remove_files(const struct run *run) {
    for (size_t i = 0; i < sizeof run_files / sizeof *run_files; i++) {
        char pattern[PATH_LENGTH];
        glob_t found;
        TRY(path_in(run, pattern, run_files[i]));
        if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
            continue;
        for (size_t k = 0; k < found.gl_pathc; k++)
            if (unlink(found.gl_pathv[k]) != 0 && errno != ENOENT && errno != EISDIR)
                log_warning("run", "%s cannot be removed: %s", found.gl_pathv[k], strerror(errno));
        globfree(&found);
    }
    return STATUS_OK;
}

/* run.directory/model is replaced when the run ends, and emptied by --fresh. */
static enum status check_model_path(const struct run *run) {
    char path[PATH_LENGTH];
    struct stat mine, start;
    TRY(path_in(run, path, "model"));
    if (stat(path, &mine) == 0 && stat(run->settings->model.path, &start) == 0 &&
        mine.st_dev == start.st_dev && mine.st_ino == start.st_ino)
        return FAIL(STATUS_INPUT,
                    "model.path is %s, which the run replaces at its end: choose another "
                    "run.directory",
                    path);
    return STATUS_OK;
}

static enum status claim_directory(const struct run *run, bool fresh) {
    static const char *const inner[] = {"", "rollouts", "checkpoints"};
    char path[PATH_LENGTH];
    TRY(check_model_path(run));
    TRY(path_in(run, path, "diagnostics.h5"));
    if (!fresh && bytes_is_file(path))
        return FAIL(
            STATUS_INPUT,
            "%s holds a run already: choose another run.directory, or start over with --fresh, which removes the "
            "files of that run",
            run->settings->run.directory);
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        TRY(path_in(run, path, inner[i]));
        TRY(make_directory(path));
    }
    return fresh ? remove_files(run) : STATUS_OK;
}

/* What status.json, which a job script reads, says of a run. */
struct outcome {
    const char *state;
    enum status status;
    const char *next; /* what the script does now */
};

static const struct outcome running = {"running", STATUS_OK, "wait"},
                            finished = {"finished", STATUS_OK, "done"},
                            stopped = {"stopped", STATUS_STOPPED, "resubmit"};

static enum status write_status(const struct run *run, const struct outcome *outcome) {
    char path[PATH_LENGTH], now[24];
    const bool failed = outcome->status != STATUS_OK && outcome->status != STATUS_STOPPED;
    json_t *exit_status =
               outcome == &running ? json_null() : json_integer(status_exit(outcome->status)),
           *error = failed ? json_string(status_sentence()) : NULL;
    TRY(path_in(run, path, "status.json"));
    json_t *root = json_pack(
        "{s:s, s:I, s:I, s:I, s:s, s:o, s:o, s:s}", "state", outcome->state, "step",
        (json_int_t)run->counters.step, "steps", (json_int_t)run->settings->run.steps,
        "checkpoint_step", (json_int_t)run->checkpoint_step, "next", outcome->next, "exit",
        exit_status, "error", error != NULL ? error : json_null(), "time", clock_utc(now));
    char *text = json_dumps(root, 0);
    json_decref(root);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "%s: memory ran out", path);
    const enum status status = atomic_write_file(path, text, (int64_t)strlen(text));
    free(text);
    return status;
}

static enum status write_settings(struct run *run) {
    char path[PATH_LENGTH];
    TRY(path_in(run, path, "settings.cfg"));
    TRY(settings_dump(run->settings, &run->settings_text));
    return atomic_write_file(path, run->settings_text.text, (int64_t)run->settings_text.length);
}

/* What every file of this run says of its origin. */
static enum status make_provenance(struct run *run) {
    const int32_t sources = stream_source_count(run->stream);
    TRY(memory_new(&run->inputs, sources, "input checksums"));
    for (int32_t i = 0; i < sources; i++) {
        run->inputs[i].path = stream_dataset(run->stream, i)->path;
        memcpy(run->inputs[i].sha256, stream_dataset(run->stream, i)->sha256,
               sizeof run->inputs[i].sha256);
    }
    run->provenance = (struct provenance){.command = "gradus train",
                                          .hosts = strbuf_text(&run->hosts),
                                          .devices = run->policy.backend.ops->text,
                                          .settings = strbuf_text(&run->settings_text),
                                          .ranks = run->comm->size,
                                          .threads = run->policy.backend.threads,
                                          .seed = run->settings->run.seed,
                                          .inputs = run->inputs,
                                          .input_count = sources};
    return STATUS_OK;
}

static enum status open_files(struct run *run, bool fresh) {
    char path[PATH_LENGTH];
    TRY(claim_directory(run, fresh));
    TRY(path_in(run, path, "log.txt"));
    TRY(log_open(path));
    TRY(write_settings(run));
    TRY(make_provenance(run));
    TRY(path_in(run, path, "diagnostics.h5"));
    TRY(diagnostics_create(path, run->settings->run.steps, run->pass_count, &run->provenance));
    run->checkpoint_s = clock_now_s();
    return write_status(run, &running);
}

/* The host names of all ranks on rank 0. */
static enum status gather_hosts(struct run *run) {
    char host[256] = "";
    char *all = NULL;
    size_t *sizes = NULL;
    gethostname(host, sizeof host - 1);
    TRY(comm_gather(run->comm, host, sizeof host, 0, (void **)&all, &sizes));
    enum status status = STATUS_OK;
    for (int rank = 0; all != NULL && status == STATUS_OK && rank < run->comm->size; rank++)
        status = strbuf_append_format(&run->hosts, "%s%s", rank > 0 ? " " : "",
                                      all + (size_t)rank * sizeof host);
    memory_release(&all);
    memory_release(&sizes);
    return status;
}

enum status run_output_open(struct run *run, bool fresh) {
    enum status status = comm_agree(run->comm, gather_hosts(run));
    if (status == STATUS_OK)
        status = comm_agree(run->comm, run->comm->rank == 0 ? open_files(run, fresh) : STATUS_OK);
    return status;
}

/* --- a step --- */

static enum status pack_own_groups(const struct run *run, struct strbuf *out) {
    for (int64_t g = 0; g < run->rollout.group_count; g++)
        if (tiles_of_group(&run->tiles, g)->owner == run->comm->rank)
            TRY(rollout_pack_group(&run->rollout, g, out));
    return STATUS_OK;
}

/* Brings all answers' tokens and numbers to rank 0. */
static enum status collect_answers(struct run *run) {
    struct strbuf mine = STRBUF_EMPTY;
    char *all = NULL;
    size_t *sizes = NULL, total = 0, at = 0;
    enum status status =
        comm_agree(run->comm, run->comm->rank != 0 ? pack_own_groups(run, &mine) : STATUS_OK);
    if (status == STATUS_OK)
        status = comm_gather(run->comm, strbuf_text(&mine), mine.length, 0, (void **)&all, &sizes);
    for (int rank = 0; sizes != NULL && rank < run->comm->size; rank++)
        total += sizes[rank];
    while (status == STATUS_OK && at < total)
        status = rollout_unpack_group(&run->rollout, all, total, &at);
    strbuf_release(&mine);
    memory_release(&all);
    memory_release(&sizes);
    return status;
}

static enum status write_rollouts(struct run *run) {
    const int64_t parts = run->settings->reward.parts_count;
    const char *names[REWARD_PARTS_MAX];
    char name[64], path[PATH_LENGTH];
    for (int64_t p = 0; p < parts && p < REWARD_PARTS_MAX; p++)
        names[p] = run->settings->reward.parts[p].name;
    const struct rollout_file_settings how = {
        .rewards = !run->method->likelihood,
        .penalised =
            run->reference != NULL && run->settings->objective.kl_in == SETTING_KL_IN_REWARD,
        .parts = names,
        .part_count = run->method->likelihood ? 0 : (int)parts,
        .provenance = &run->provenance};
    snprintf(name, sizeof name, "rollouts/step-%06lld.h5", (long long)run->counters.step);
    TRY(path_in(run, path, name));
    return rollout_file_write(path, &run->rollout, &how);
}

static enum status write_metrics(struct run *run, const struct metrics *metrics) {
    char path[PATH_LENGTH];
    TRY(path_in(run, path, "diagnostics.h5"));
    TRY(diagnostics_append(path, run->counters.step - 1, metrics));
    TRY(path_in(run, path, "metrics.jsonl"));
    return metrics_log(metrics, run->counters.step, path);
}

/* --- checkpoints --- */

enum { PIECE = 1 << 22 }; /* elements that go through host memory at a time */

static enum status write_section(struct run *run, const struct checkpoint_writer *writer,
                                 enum checkpoint_section section, const float *values) {
    float *piece;
    const int64_t n = run->layout->elements;
    TRY(memory_new(&piece, n < PIECE ? n : PIECE, "checkpoint piece"));
    enum status status = STATUS_OK;
    for (int64_t at = 0; status == STATUS_OK && at < n; at += PIECE) {
        const int64_t count = n - at < PIECE ? n - at : PIECE;
        status = run->policy.backend.ops->download(&run->policy.backend, piece, values + at,
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
    enum status status = write_section(run, writer, CHECKPOINT_PARAMETERS, run->master);
    if (status == STATUS_OK)
        status = write_section(run, writer, CHECKPOINT_EXP_AVG, run->optimizer->exp_avg);
    if (status == STATUS_OK)
        status = write_section(run, writer, CHECKPOINT_EXP_AVG_SQ, run->optimizer->exp_avg_sq);
    if (status != STATUS_OK) {
        checkpoint_abandon(&writer);
        return status;
    }
    return checkpoint_commit(&writer);
}

/* The state beside the vectors: all that the next step depends on. */
static enum status write_checkpoint_files(struct run *run, const struct model_files *files,
                                          const int64_t *position) {
    char name[64], path[PATH_LENGTH];
    int64_t count;
    const struct parameter *parameters = model_parameters(run->policy.model, &count);
    const struct run_counters *counters = &run->counters;
    const struct checkpoint_value state[] = {
        {.name = "step", .kind = CHECKPOINT_INTEGERS, .count = 1, .integers = &counters->step},
        {.name = "optimizer_steps",
         .kind = CHECKPOINT_INTEGERS,
         .count = 1,
         .integers = &run->optimizer->steps},
        {.name = "counters/backward_passes",
         .kind = CHECKPOINT_INTEGERS,
         .count = 1,
         .integers = &counters->backward_passes},
        {.name = "counters/optimizer_steps",
         .kind = CHECKPOINT_INTEGERS,
         .count = 1,
         .integers = &counters->optimizer_steps},
        {.name = "counters/tokens",
         .kind = CHECKPOINT_INTEGERS,
         .count = 1,
         .integers = &counters->tokens},
        {.name = "counters/prompts",
         .kind = CHECKPOINT_INTEGERS,
         .count = 1,
         .integers = &counters->prompts},
        {.name = "counters/flat_steps",
         .kind = CHECKPOINT_INTEGERS,
         .count = 1,
         .integers = &run->flat_steps},
        {.name = "data/position",
         .kind = CHECKPOINT_INTEGERS,
         .count = stream_position_size(run->stream),
         .integers = position},
    };
    const struct checkpoint_content content = {.parameters = parameters,
                                               .parameter_count = count,
                                               .optimizer = true,
                                               .state = state,
                                               .state_count = sizeof state / sizeof *state,
                                               .settings = strbuf_text(&run->settings_text),
                                               .files = files,
                                               .provenance = &run->provenance};
    snprintf(name, sizeof name, "checkpoints/step-%06lld.h5", (long long)counters->step);
    TRY(path_in(run, path, name));
    TRY(write_sections(run, &content, path));
    run->checkpoint_step = counters->step;
    run->checkpoint_s = clock_now_s();
    TRY(path_in(run, path, "checkpoints"));
    return checkpoint_prune(path, run->settings->checkpoint.keep);
}

static enum status write_checkpoint(struct run *run) {
    struct model_files *files = NULL;
    int64_t *position = NULL;
    enum status status;
    TRY_ELSE(status, done, memory_new(&files, 1, "model files"));
    TRY_ELSE(status, done,
             memory_new(&position, stream_position_size(run->stream), "data position"));
    stream_position_get(run->stream, position);
    TRY_ELSE(status, done, model_files_read(files, run->settings->model.path));
    TRY_ELSE(status, done, write_checkpoint_files(run, files, position));
done:
    if (files != NULL)
        model_files_release(files);
    memory_release(&files);
    memory_release(&position);
    return status;
}

static bool checkpoint_is_due(const struct run *run, bool last) {
    const struct settings_checkpoint *checkpoint = &run->settings->checkpoint;
    const bool stopping = last && run->counters.step < run->settings->run.steps;
    if (stopping ||
        (checkpoint->every > 0 && (last || run->counters.step % checkpoint->every == 0)))
        return true;
    return !last && checkpoint->every_s > 0 &&
           clock_now_s() - run->checkpoint_s >= (double)checkpoint->every_s;
}

static enum status write_step(struct run *run, const struct metrics *metrics, bool rollouts,
                              bool last) {
    if (rollouts)
        TRY(write_rollouts(run));
    TRY(write_metrics(run, metrics));
    if (checkpoint_is_due(run, last))
        TRY(write_checkpoint(run));
    return write_status(run, &running);
}

enum status run_output_step(struct run *run, const struct metrics *metrics, bool last) {
    const double start_s = clock_now_s();
    const int64_t every = run->settings->output.rollouts_every;
    const bool rollouts = every > 0 && run->counters.step % every == 0;
    enum status status = rollouts ? collect_answers(run) : STATUS_OK;
    if (status == STATUS_OK && run->comm->rank == 0)
        status = write_step(run, metrics, rollouts, last);
    status = comm_agree(run->comm, status);
    run->clock.write_s = clock_now_s() - start_s;
    return status;
}

/* --- the end --- */

/* `read` of a model directory: one parameter out of the backend's master. */
static enum status read_master(void *context, const struct parameter *parameter, float *out) {
    struct run *run = context;
    return run->policy.backend.ops->download(
        &run->policy.backend, out, run->master + parameter->offset,
        (size_t)(parameter->rows * parameter->columns) * sizeof *out);
}

static enum status write_model(struct run *run) {
    struct model_files *files;
    char path[PATH_LENGTH];
    TRY(path_in(run, path, "model"));
    TRY(memory_new(&files, 1, "model files"));
    enum status status = model_files_read(files, run->settings->model.path);
    struct model_directory directory = {
        .read = read_master, .context = run, .files = files, .dtype = DTYPE_F32, .replace = true};
    directory.parameters = model_parameters(run->policy.model, &directory.parameter_count);
    if (status == STATUS_OK)
        status = model_directory_write(&directory, path);
    model_files_release(files);
    memory_release(&files);
    return status;
}

static enum status finish_files(struct run *run) {
    const bool all_steps = run->counters.step == run->settings->run.steps;
    if (all_steps)
        TRY(write_model(run));
    return write_status(run, all_steps ? &finished : &stopped);
}

enum status run_output_finish(struct run *run) {
    const enum status status =
        comm_agree(run->comm, run->comm->rank == 0 ? finish_files(run) : STATUS_OK);
    log_close();
    return status;
}

void run_output_fail(const struct run *run, enum status status) {
    char sentence[STATUS_SENTENCE_MAX];
    const bool passing = status_exit(status) == status_exit(STATUS_IO);
    const struct outcome failed = {"failed", status, passing ? "resubmit" : "correct"};
    if (run->comm->rank != 0)
        return;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    if (write_status(run, &failed) != STATUS_OK)
        status_set_sentence(sentence); /* the first failure is the one that counts */
}
