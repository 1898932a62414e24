/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "run/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/process.h"
#include "file/json.h"

enum { PATH_BYTES = 4096, RECORD_BYTES = 4096, SETTLE_S = 2 };

struct lock {
    char path[PATH_BYTES];
    int file;
    struct lock_holder self;
};

/* --- who a process is --- */

/* Names in print, whatever a machine is called. */
static void keep_ascii(char *text) {
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

/* The batch job as its system names it, and how often it was started again. */
static void find_job(struct lock_holder *holder) {
    const char *slurm = getenv("SLURM_JOB_ID"), *step = getenv("SLURM_STEP_ID"),
               *restarts = getenv("SLURM_RESTART_COUNT"), *pbs = getenv("PBS_JOBID"),
               *lsf = getenv("LSB_JOBID");
    if (slurm != NULL)
        snprintf(holder->job, sizeof holder->job, "SLURM job %.20s, step %.20s", slurm,
                 step != NULL ? step : "none");
    else if (pbs != NULL || lsf != NULL)
        snprintf(holder->job, sizeof holder->job, "job %.50s", pbs != NULL ? pbs : lsf);
    holder->restarts = restarts != NULL ? strtoll(restarts, NULL, 10) : 0;
}

static void describe_self(struct lock_holder *holder) {
    *holder = (struct lock_holder){.pid = (int64_t)getpid(), .beat_s = (int64_t)time(NULL)};
    gethostname(holder->host, sizeof holder->host - 1);
    process_read_line("/proc/sys/kernel/random/boot_id", holder->machine, sizeof holder->machine);
    const ssize_t length = readlink("/proc/self/ns/pid", holder->pids, sizeof holder->pids - 1);
    holder->pids[length > 0 ? length : 0] = '\0';
    holder->process_start = process_start(holder->pid);
    find_job(holder);
    keep_ascii(holder->host);
    keep_ascii(holder->job);
}

/* --- what the file says --- */

/* One write of one length, so that a reader finds the old record or the new one. */
static enum status write_record(const struct lock *lock) {
    const struct lock_holder *self = &lock->self;
    char record[RECORD_BYTES];
    json_t *root =
        json_pack("{s:s, s:I, s:s, s:I, s:I, s:s, s:s, s:I}", "host", self->host, "pid",
                  (json_int_t)self->pid, "job", self->job, "beat_s", (json_int_t)self->beat_s,
                  "process_start", (json_int_t)self->process_start, "machine", self->machine,
                  "pids", self->pids, "restarts", (json_int_t)self->restarts);
    memset(record, ' ', sizeof record);
    const size_t length = json_dumpb(root, record, sizeof record - 1, 0);
    json_decref(root);
    ASSERT(length < sizeof record); /* the texts are short */
    if (length == 0)                /* and ASCII */
        return FAIL(STATUS_MEMORY, "%s: memory ran out", lock->path);
    record[sizeof record - 1] = '\n';
    if (pwrite(lock->file, record, sizeof record, 0) != (ssize_t)sizeof record ||
        fsync(lock->file) != 0)
        return FAIL(STATUS_IO, "%s: it cannot be written: %s", lock->path, strerror(errno));
    return STATUS_OK;
}

static void take_text(const json_t *root, const char *name, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(root, name));
    snprintf(out, size, "%s", text != NULL ? text : "");
}

static int64_t take_integer(const json_t *root, const char *name) {
    return (int64_t)json_integer_value(json_object_get(root, name));
}

/* False where the file says nothing that can be read. */
static bool read_record(int file, struct lock_holder *holder) {
    char record[RECORD_BYTES];
    const ssize_t length = pread(file, record, sizeof record, 0);
    json_t *root =
        length > 0 ? json_loadb(record, (size_t)length, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    if (root == NULL)
        return false;
    *holder = (struct lock_holder){.pid = take_integer(root, "pid"),
                                   .process_start = take_integer(root, "process_start"),
                                   .restarts = take_integer(root, "restarts"),
                                   .beat_s = take_integer(root, "beat_s")};
    take_text(root, "host", holder->host, sizeof holder->host);
    take_text(root, "job", holder->job, sizeof holder->job);
    take_text(root, "machine", holder->machine, sizeof holder->machine);
    take_text(root, "pids", holder->pids, sizeof holder->pids);
    json_decref(root);
    return true;
}

/* --- taking it --- */

static enum status fail_held(const char *path, const struct lock_holder *holder) {
    char host[STATUS_QUOTE_MAX], job[STATUS_QUOTE_MAX];
    return FAIL(STATUS_INPUT,
                "%s: a run on %s (process %lld%s%s) is at work in this directory: wait for its "
                "end, or choose another run.directory",
                path, status_quote(host, holder->host, SIZE_MAX), (long long)holder->pid,
                holder->job[0] != '\0' ? ", " : "", status_quote(job, holder->job, SIZE_MAX));
}

static enum status fail_unknown(const char *path, const struct lock_holder *holder, int64_t age_s) {
    char host[STATUS_QUOTE_MAX], job[STATUS_QUOTE_MAX];
    return FAIL(STATUS_IO,
                "%s: a run on %s (process %lld%s%s) was at work in this directory %lld s ago: if "
                "it is dead, submit again in %lld s, or remove that file",
                path, status_quote(host, holder->host, SIZE_MAX), (long long)holder->pid,
                holder->job[0] != '\0' ? ", " : "", status_quote(job, holder->job, SIZE_MAX),
                (long long)age_s, (long long)(LOCK_STALE_S - age_s));
}

static bool same(const char *a, const char *b) {
    return a[0] != '\0' && strcmp(a, b) == 0;
}

/* Whether the holder of a record is dead, as far as this process can know. */
static enum status check_holder(const char *path, const struct lock_holder *self,
                                const struct lock_holder *holder) {
    const int64_t age_s = self->beat_s - holder->beat_s;
    if (same(holder->machine, self->machine) && same(holder->pids, self->pids)) {
        const int64_t start = process_start(holder->pid);
        if (start >= 0)
            return start > 0 && start == holder->process_start ? fail_held(path, holder)
                                                               : STATUS_OK;
    }
    if (same(holder->job, self->job) && holder->restarts < self->restarts)
        return STATUS_OK;
    return age_s >= LOCK_STALE_S ? STATUS_OK : fail_unknown(path, holder, age_s > 0 ? age_s : 0);
}

/* The system's lock on the open file. */
enum claim {
    CLAIM_GRANTED,
    CLAIM_REFUSED,
    CLAIM_UNKNOWN
}; /* unknown: a file system without locks */

static enum claim claim_file(int file) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
#ifdef F_OFD_SETLK
    if (fcntl(file, F_OFD_SETLK, &range) == 0)
        return CLAIM_GRANTED;
    if (errno != EINVAL)
        return errno == EAGAIN || errno == EACCES ? CLAIM_REFUSED : CLAIM_UNKNOWN;
#endif
    if (fcntl(file, F_SETLK, &range) == 0)
        return CLAIM_GRANTED;
    return errno == EAGAIN || errno == EACCES ? CLAIM_REFUSED : CLAIM_UNKNOWN;
}

/* Whether the file still has its name: a run that has just ended removed it otherwise. */
static bool is_named(int file, const char *path) {
    struct stat open_one, named;
    return fstat(file, &open_one) == 0 && lstat(path, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

static enum status open_file(struct lock *lock) {
    if (lock->file >= 0)
        close(lock->file);
    lock->file = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    return lock->file >= 0
               ? STATUS_OK
               : FAIL(STATUS_IO, "%s: it cannot be opened: %s", lock->path, strerror(errno));
}

/* Opens the file and claims it, unless its holder lives. */
static enum status open_claimed(struct lock *lock, enum claim *claim) {
    struct lock_holder holder = {.host = "another host"};
    do {
        TRY(open_file(lock));
        *claim = claim_file(lock->file);
        if (*claim == CLAIM_REFUSED) {
            (void)read_record(lock->file, &holder);
            return fail_held(lock->path, &holder);
        }
    } while (!is_named(lock->file, lock->path));
    return read_record(lock->file, &holder) ? check_holder(lock->path, &lock->self, &holder)
                                            : STATUS_OK;
}

/* Without the system's locks, of two that take a dead one's place at once the last to write has it:
 * looks again, after a pause and through a new descriptor, which network file systems ask for. */
static enum status settle(struct lock *lock) {
    struct lock_holder holder;
    sleep(SETTLE_S);
    TRY(open_file(lock));
    if (!read_record(lock->file, &holder) ||
        (holder.pid == lock->self.pid && strcmp(holder.host, lock->self.host) == 0))
        return STATUS_OK;
    return fail_held(lock->path, &holder);
}

static enum status take(struct lock *lock, const char *path) {
    enum claim claim;
    if (snprintf(lock->path, PATH_BYTES, "%s", path) >= PATH_BYTES)
        return FAIL(STATUS_INPUT, "a path of %zu bytes is too long", strlen(path));
    TRY(open_claimed(lock, &claim));
    TRY(write_record(lock));
    return claim == CLAIM_UNKNOWN ? settle(lock) : STATUS_OK;
}

enum status lock_take(struct lock **lock, const char *path) {
    TRY(memory_new(lock, 1, "lock of a run"));
    (*lock)->file = -1;
    describe_self(&(*lock)->self);
    const enum status status = take(*lock, path);
    if (status == STATUS_OK)
        return STATUS_OK;
    if ((*lock)->file >= 0)
        close((*lock)->file);
    memory_release(lock);
    return status;
}

static bool is_claimed(int file) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
#ifdef F_OFD_GETLK
    if (fcntl(file, F_OFD_GETLK, &range) == 0)
        return range.l_type != F_UNLCK;
#endif
    return fcntl(file, F_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

enum status lock_check(const char *path) {
    struct lock_holder holder = {.host = "another host"}, self;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return STATUS_OK;
    describe_self(&self);
    const bool claimed = is_claimed(file), known = read_record(file, &holder);
    close(file);
    if (claimed)
        return fail_held(path, &holder);
    return known ? check_holder(path, &self, &holder) : STATUS_OK;
}

const struct lock_holder *lock_owner(const struct lock *lock) {
    return &lock->self;
}

void lock_beat(struct lock *lock) {
    char sentence[STATUS_SENTENCE_MAX];
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    lock->self.beat_s = (int64_t)time(NULL);
    if (write_record(lock) != STATUS_OK)
        status_set_sentence(sentence);
}

void lock_release(struct lock **lock) {
    if (*lock == NULL)
        return;
    unlink((*lock)->path); /* before the close, which lets others in */
    close((*lock)->file);
    memory_release(lock);
}
