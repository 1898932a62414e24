/* SPDX-License-Identifier: Apache-2.0 */
#include "run/saving.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/finite.h"
#include "run/checkpoint_folder.h"
#include "run/checkpoint_write.h"
#include "run/directory.h"
#include "run/run.h"
#include "run/state.h"
#include "run/step_name.h"
#include "tensor/finite.h"

enum { WAIT_NS = 200 * 1000, PIECE = 1 << 20 }; /* 4 MiB a write */

#define PATIENCE_S 5.0 /* with a thread whose work nobody wants any more */

enum phase { SAVING_IDLE, SAVING_WRITING, SAVING_CHECKING, SAVING_COMMITTING };

struct saving {
    enum phase phase;
    struct checkpoint_writer *writer;
    char path[DIRECTORY_PATH_BYTES];
    int64_t step;
    /* By section: where the elements of this rank's pieces stand, the run's own vectors or copies.
     * `packed`: one piece behind the other, else each at its element. NULL: there is no such section. */
    const float *values[CHECKPOINT_SECTIONS];
    bool packed[CHECKPOINT_SECTIONS];
    float *copies[CHECKPOINT_SECTIONS]; /* NULL where the host reads the vectors themselves */
    const struct shard *deal;           /* borrowed: which pieces fall to which rank */
    const struct parameter_set *trained;
    int rank, size;
    char folder[DIRECTORY_PATH_BYTES]; /* of the checkpoints, of which `keep` and the best stay */
    int64_t keep, best, bytes;         /* bytes: of the file once it has its name */
    /* The thread, and what it leaves. */
    pthread_t thread;
    bool runs;
    atomic_bool done;
    atomic_bool given_up; /* nobody wants it any more */
    enum status status;
    char sentence[STATUS_SENTENCE_MAX];
    bool stuck; /* in the file system: waiting for it has no end */
    double busy_s;
    double stall_s; /* of the run, since it was last asked for */
};

/* --- in the thread: files alone --- */

/* A number that is not finite would take the place of a good one. */
static enum status check_piece(const struct saving *saving, enum checkpoint_section section,
                               int64_t begin, const float *values, int64_t n) {
    static const char *const of[CHECKPOINT_SECTIONS] = {"",
                                                        "the mean of gradients of ",
                                                        "the mean of squared gradients of ",
                                                        "the teacher's mean of ",
                                                        "the discriminator's mean of gradients of ",
                                                        "the discriminator's mean of squared "
                                                        "gradients of "};
    const int64_t bad = first_not_finite(values, n);
    char what[96];
    if (bad < 0)
        return STATUS_OK;
    snprintf(what, sizeof what, "after step %lld, %s", (long long)saving->step, of[section]);
    return parameter_set_refuse(saving->trained, begin + bad, values[bad], what);
}

static enum status write_range(const struct saving *saving, enum checkpoint_section section,
                               const struct shard_range *range) {
    const float *values =
        saving->values[section] + (saving->packed[section] ? range->place : range->begin);
    for (int64_t at = range->begin; at < range->end; at += PIECE) {
        const int64_t n = range->end - at < PIECE ? range->end - at : PIECE;
        if (atomic_load(&saving->given_up))
            return FAIL(STATUS_IO, "the checkpoint of step %lld was given up",
                        (long long)saving->step);
        TRY(check_piece(saving, section, at, values + (at - range->begin), n));
        TRY(checkpoint_write_block(saving->writer, section, at, values + (at - range->begin), n));
    }
    return STATUS_OK;
}

static enum status write_pieces(const struct saving *saving) {
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        for (int64_t i = 0;
             saving->values[section] != NULL && i < shard_range_count(saving->deal, saving->rank);
             i++) {
            const struct shard_range range = shard_range_at(saving->deal, saving->rank, i);
            TRY(write_range(saving, (enum checkpoint_section)section, &range));
        }
    return checkpoint_flush(saving->writer);
}

/* The file gets its name; only then older ones go. */
static enum status commit(struct saving *saving) {
    struct stat info;
    if (saving->rank != 0)
        return STATUS_OK;
    TRY(checkpoint_commit(&saving->writer));
    if (stat(saving->path, &info) != 0)
        return FAIL(STATUS_IO, "%s: it is gone again: %s", saving->path, strerror(errno));
    saving->bytes = (int64_t)info.st_size;
    return checkpoint_prune(saving->folder, saving->keep, saving->best);
}

static enum status work_of_phase(struct saving *saving) {
    switch (saving->phase) {
    case SAVING_WRITING:
        return write_pieces(saving);
    case SAVING_CHECKING:
        return checkpoint_check(saving->writer, saving->rank, saving->size);
    case SAVING_COMMITTING:
        return commit(saving);
    case SAVING_IDLE:
        break;
    }
    return FAIL(STATUS_DEFECT, "a checkpoint in no phase");
}

static void work(struct saving *saving) {
    const double start_s = clock_now_s();
    saving->status = work_of_phase(saving);
    if (saving->status != STATUS_OK)
        snprintf(saving->sentence, sizeof saving->sentence, "%s", status_sentence());
    saving->busy_s += clock_now_s() - start_s;
    atomic_store(&saving->done, true);
}

static void *thread_main(void *context) {
    work(context);
    return NULL;
}

/* --- the phases, as the main thread leads through them --- */

/* Signals are for the main thread. Where no thread is to be had the main one does the work. */
static void start(struct saving *saving, enum phase phase) {
    sigset_t all, before;
    saving->phase = phase;
    saving->status = STATUS_OK;
    atomic_store(&saving->done, false);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    saving->runs = pthread_create(&saving->thread, NULL, thread_main, saving) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!saving->runs)
        work(saving);
}

static void join(struct saving *saving) {
    if (saving->runs)
        pthread_join(saving->thread, NULL);
    saving->runs = false;
}

static void release(struct saving *saving) {
    join(saving);
    checkpoint_abandon(&saving->writer);
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        memory_release(&saving->copies[section]);
    saving->phase = SAVING_IDLE;
}

/* A thread that hangs in the file system is left behind, with what it works on. */
void saving_abandon(struct run *run) {
    struct saving *saving = run->saving;
    const struct timespec pause = {.tv_nsec = WAIT_NS};
    const double start_s = clock_now_s();
    run->saving = NULL;
    if (saving == NULL)
        return;
    atomic_store(&saving->given_up, true);
    while (saving->runs && !atomic_load(&saving->done)) {
        if (clock_now_s() - start_s > PATIENCE_S)
            return;
        nanosleep(&pause, NULL);
    }
    release(saving);
    memory_release(&saving);
}

/* The pieces of a vector that this rank writes, brought to the host. */
static enum status copy_pieces(struct run *run, struct saving *saving,
                               enum checkpoint_section section) {
    const struct shard *deal = saving->deal;
    struct backend *backend = &run->lm.backend;
    const float *from = saving->values[section];
    TRY(memory_new(&saving->copies[section], deal->elements, "checkpoint in the making"));
    for (int64_t i = 0; i < shard_range_count(deal, saving->rank); i++) {
        const struct shard_range range = shard_range_at(deal, saving->rank, i);
        TRY(backend->ops->download(backend, saving->copies[section] + range.place,
                                   from + (saving->packed[section] ? range.place : range.begin),
                                   (size_t)(range.end - range.begin) * sizeof *from));
    }
    saving->values[section] = saving->copies[section];
    saving->packed[section] = true;
    return STATUS_OK;
}

static enum status take_vectors(struct run *run, struct saving *saving) {
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++) {
        const struct state_vector vector = state_vector(run, (enum checkpoint_section)section);
        saving->values[section] = vector.values;
        saving->packed[section] = vector.packed;
        if (vector.values != NULL && !run->lm.backend.ops->host_memory)
            TRY(copy_pieces(run, saving, (enum checkpoint_section)section));
    }
    return STATUS_OK;
}

static enum status checkpoint_path(const struct run *run, char path[DIRECTORY_PATH_BYTES]) {
    char name[64], step[STEP_NAME_BYTES];
    snprintf(name, sizeof name, "checkpoints/%s", step_name(step, run->counters.step));
    return directory_path(run->settings->run.directory, path, name);
}

/* Rank 0: all of the file but the tensors' bytes. */
static enum status lay_out(struct run *run, struct saving *saving) {
    struct checkpoint_value state[STATE_VALUES_MAX];
    state_gather(run);
    struct checkpoint_content content = {.parameters = saving->trained->items,
                                         .parameter_count = saving->trained->count,
                                         .state = state,
                                         .state_count = state_values(run, state),
                                         .settings = strbuf_text(&run->files.settings_text),
                                         .files = run->files.model,
                                         .provenance = &run->files.provenance};
    for (int section = 0; section < CHECKPOINT_SECTIONS; section++)
        content.sections[section] =
            state_vector(run, (enum checkpoint_section)section).values != NULL;
    run->files.checkpoint_s = clock_now_s();
    return checkpoint_layout(&saving->writer, saving->path, &content);
}

static enum status open_saving(struct run *run) {
    if (run->saving == NULL)
        TRY(memory_new(&run->saving, 1, "checkpoint in the making"));
    struct saving *saving = run->saving;
    saving->step = run->counters.step;
    saving->busy_s = 0.0;
    saving->deal = run->deal;
    saving->trained = language_model_trained(&run->lm);
    saving->rank = run->comm->rank;
    saving->size = run->comm->size;
    saving->keep = run->settings->checkpoint.keep;
    saving->best = run->best.step;
    TRY(directory_path(run->settings->run.directory, saving->folder, "checkpoints"));
    TRY(checkpoint_path(run, saving->path));
    return saving->rank == 0 ? lay_out(run, saving) : STATUS_OK;
}

static enum status begin(struct run *run) {
    TRY(comm_agree(run->comm, open_saving(run)));
    struct saving *saving = run->saving;
    TRY(checkpoint_join(&saving->writer, run->comm, saving->trained->items,
                        saving->trained->count));
    TRY(comm_agree(run->comm, take_vectors(run, saving)));
    start(saving, SAVING_WRITING);
    return STATUS_OK;
}

/* The checkpoint is there. */
static void note_checkpoint(struct run *run) {
    struct saving *saving = run->saving;
    run->files.checkpoint_step = saving->step;
    durations_add(&run->wall.saves, saving->busy_s);
    heartbeat_took(run->heartbeat, "checkpoint", saving->busy_s);
    if (saving->rank == 0)
        log_info("checkpoint", "file = %s, bytes = %lld, seconds = %.2f", saving->path,
                 (long long)saving->bytes, saving->busy_s);
    release(saving);
}

/* What the threads of all ranks came to. */
static enum status end_phase(struct run *run) {
    struct saving *saving = run->saving;
    join(saving);
    if (saving->status != STATUS_OK)
        status_set_sentence(saving->sentence);
    return comm_agree(run->comm, saving->status);
}

static enum status next_phase(struct run *run) {
    struct saving *saving = run->saving;
    enum status status = end_phase(run);
    if (status == STATUS_OK && saving->phase == SAVING_CHECKING)
        status = checkpoint_gather(saving->writer, run->comm);
    if (status != STATUS_OK)
        release(saving);
    else if (saving->phase == SAVING_COMMITTING)
        note_checkpoint(run);
    else
        start(saving, saving->phase + 1);
    return status;
}

/* Until this rank's thread is through; the run still says that it lives. A file system that does not
 * answer for too long ends it. */
static enum status wait_for_thread(struct run *run) {
    const struct timespec pause = {.tv_nsec = WAIT_NS};
    if (atomic_load(&run->saving->done))
        return STATUS_OK;
    heartbeat_phase(run->heartbeat, "checkpoint", run->saving->step);
    while (!atomic_load(&run->saving->done)) {
        nanosleep(&pause, NULL);
        run_output_beat(run);
        run->saving->stuck = heartbeat_beat(run->heartbeat) != STATUS_OK;
        if (run->saving->stuck)
            return STATUS_COMM;
    }
    return STATUS_OK;
}

/* Goes through the phases as long as they are at most `last`, waiting for each. */
static enum status wait_through(struct run *run, enum phase last) {
    const double start_s = clock_now_s();
    enum status status = STATUS_OK;
    while (status == STATUS_OK && run->saving != NULL && run->saving->phase != SAVING_IDLE &&
           run->saving->phase <= last && !run->saving->stuck) {
        status = wait_for_thread(run);
        if (status == STATUS_OK)
            status = next_phase(run);
    }
    if (run->saving != NULL)
        run->saving->stall_s += clock_now_s() - start_s;
    return status;
}

enum status saving_begin(struct run *run) {
    TRY(saving_finish(run));
    const double start_s = clock_now_s();
    const enum status status = begin(run);
    if (run->saving != NULL) {
        run->saving->stall_s += clock_now_s() - start_s;
        run->saving->busy_s += clock_now_s() - start_s;
    }
    if (status != STATUS_OK)
        saving_abandon(run);
    return status;
}

enum status saving_release(struct run *run) {
    TRY(wait_through(run, SAVING_WRITING));
    return saving_poll(run);
}

enum status saving_finish(struct run *run) {
    return wait_through(run, SAVING_COMMITTING);
}

enum status saving_poll(struct run *run) {
    const double start_s = clock_now_s();
    if (run->saving == NULL || run->saving->phase == SAVING_IDLE)
        return STATUS_OK;
    double waiting = atomic_load(&run->saving->done) ? 0.0 : 1.0;
    TRY(comm_maximum(run->comm, &waiting, 1));
    const enum status status = waiting > 0.0 ? STATUS_OK : next_phase(run);
    run->saving->stall_s += clock_now_s() - start_s;
    return status;
}

double saving_stall_s(struct run *run) {
    const double seconds = run->saving != NULL ? run->saving->stall_s : 0.0;
    if (run->saving != NULL)
        run->saving->stall_s = 0.0;
    return seconds;
}

int64_t saving_bytes(const struct run *run) {
    const int64_t copies = run->lm.backend.ops->host_memory ? 0 : state_vectors(run);
    return copies * run->deal->elements * (int64_t)sizeof(float);
}
