/* SPDX-License-Identifier: Apache-2.0
 *
 * A run's lock refuses a second run and names the first; one whose process is gone, whose machine
 * was started again, or whose job the batch system started again is free; one of another machine
 * counts by its age.
 */
#include "run/lock.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/memory.h"
#include "check.h"
#include "unit/file/folder.h"

static struct lock_holder self;

/* A lock file as another process would have left it, without its lock of the system. */
static void leave(const struct lock_holder *holder) {
    char text[1024];
    const int length = snprintf(
        text, sizeof text,
        "{\"host\": \"%s\", \"pid\": %lld, \"job\": \"%s\", \"beat_s\": %lld, \"process_start\": "
        "%lld, \"machine\": \"%s\", \"pids\": \"%s\", \"restarts\": %lld}   \n",
        holder->host, (long long)holder->pid, holder->job, (long long)holder->beat_s,
        (long long)holder->process_start, holder->machine, holder->pids,
        (long long)holder->restarts);
    folder_write(folder_file("lock"), text, (size_t)length);
}

/* Takes it and gives it back. */
static void check_free(void) {
    struct lock *lock;
    CHECK_OK(lock_check(folder_file("lock")));
    CHECK_OK(lock_take(&lock, folder_file("lock")));
    lock_release(&lock);
    CHECK_EQ(folder_entries(folder_path), 0);
}

static void check_held(enum status status, const char *words) {
    struct lock *lock;
    CHECK_STATUS(lock_check(folder_file("lock")), status, words);
    CHECK_STATUS(lock_take(&lock, folder_file("lock")), status, words);
    CHECK_EQ(folder_entries(folder_path), 1);
}

static void test_two(void) {
    struct lock *lock;
    char words[64];
    CHECK_OK(lock_take(&lock, folder_file("lock")));
    self = *lock_owner(lock);
    snprintf(words, sizeof words, "process %lld", (long long)getpid());
    check_held(STATUS_INPUT, words); /* locks of one process count against each other as well */
    lock_beat(lock);
    check_held(STATUS_INPUT, self.host);
    lock_release(&lock);
    check_free();
}

/* A process that took the lock and was killed; the child still stands in the table of processes
 * until it is waited for. */
static void test_killed(void) {
    struct lock *lock;
    int ready[2], how;
    char word;
    CHECK(pipe(ready) == 0);
    const pid_t child = fork();
    if (child == 0) {
        const bool taken = lock_take(&lock, folder_file("lock")) == STATUS_OK;
        if (write(ready[1], taken ? "y" : "n", 1) == 1)
            pause();
        _exit(0);
    }
    CHECK(read(ready[0], &word, 1) == 1 && word == 'y');
    check_held(STATUS_INPUT, "is at work");
    kill(child, SIGKILL);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    check_free();
    waitpid(child, &how, 0);
    close(ready[0]);
    close(ready[1]);
}

static void test_same_machine(void) {
    struct lock_holder other = self;
    other.pid = getppid();
    other.process_start = 1;
    leave(&other); /* the number of the dead process was given to another */
    check_free();
    other = self;
    leave(&other); /* where the file system has no locks: the process lives */
    check_held(STATUS_INPUT, "is at work");
    other.pid = 1 << 22; /* above every number of a process */
    leave(&other);
    check_free();
}

static void test_other_machine(void) {
    struct lock_holder other = self;
    snprintf(other.machine, sizeof other.machine, "another");
    snprintf(other.host, sizeof other.host, "node17");
    snprintf(other.job, sizeof other.job, "SLURM job 12, step 0");
    other.beat_s = (int64_t)time(NULL) - 100;
    leave(&other);
    check_held(STATUS_IO, "node17");
    check_held(STATUS_IO, "SLURM job 12, step 0");
    check_held(STATUS_IO, "submit again in");
    other.beat_s = (int64_t)time(NULL) + 100; /* its clock is ahead */
    leave(&other);
    check_held(STATUS_IO, "0 s ago");
    other.beat_s = (int64_t)time(NULL) - LOCK_STALE_S - 1;
    leave(&other);
    check_free();
}

static void test_same_job(void) {
    struct lock_holder other = self;
    snprintf(other.machine, sizeof other.machine, "another");
    snprintf(other.job, sizeof other.job, "SLURM job 12, step 0");
    leave(&other);
    setenv("SLURM_JOB_ID", "12", 1);
    setenv("SLURM_STEP_ID", "0", 1);
    check_held(STATUS_IO, "process");
    setenv("SLURM_RESTART_COUNT", "1", 1); /* the batch system started the job again */
    check_free();
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_STEP_ID");
    unsetenv("SLURM_RESTART_COUNT");
}

static void test_odd_files(void) {
    struct lock *lock;
    folder_write(folder_file("lock"), "\xff{ not a record", 15);
    check_free();
    folder_write(folder_file("lock"), "", 0);
    check_free();
    CHECK(symlink("/etc/passwd", folder_file("lock")) == 0);
    CHECK_STATUS(lock_take(&lock, folder_file("lock")), STATUS_IO, "cannot be opened");
    unlink(folder_file("lock"));
    CHECK_STATUS(lock_take(&lock, folder_file("none/lock")), STATUS_IO, "cannot be opened");
}

int main(void) {
    folder_make();
    test_two();
    test_killed();
    test_same_machine();
    test_other_machine();
    test_same_job();
    test_odd_files();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
