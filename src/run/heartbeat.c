/* SPDX-License-Identifier: Apache-2.0 */
#include "run/heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/guard.h"
#include "base/memory.h"
#include "base/process.h"

/* A line has a page of its own: file systems that share pages between machines lose no part of it. */
enum { LINE_BYTES = 4096, PATH_BYTES = 4096, NAMED_MAX = 4, LOOKERS = 8, PHASES_MAX = 16 };

#define BEAT_S    1.0  /* between two signs of life, at least */
#define SETTLE_S  2.0  /* before a dead rank is named: its launcher may end the job first */
#define STAGGER_S 1.0  /* between two ranks that speak: the first one ends the others */
#define GUARD_S   30.0 /* beyond the deadline: the other ranks, which know more, come first */

#define LONGER      20.0    /* than ever before is too long for a phase */
#define FIRST_S     86400.0 /* for a phase that nobody knows */
#define UNWATCHED_S 60.0    /* at most counts between two signs of life: a job may be suspended */

/* Who a rank is; the same for the whole run. */
struct identity {
    char host[64], machine[64], pids[64];
    int64_t pid, start;
};

/* What a line says of its rank. */
struct line {
    int64_t beats, step, tile;
    char phase[32], waits[32];
    double age_s; /* in this phase */
};

/* The longest that a phase took so far. */
struct phase_record {
    char phase[32];
    double longest_s;
};

struct heartbeat {
    char path[PATH_BYTES];
    struct comm *comm; /* borrowed */
    struct heartbeat_deadlines deadlines;
    struct line self;
    double written_s; /* when the own line was */
    double counted_s; /* up to when its age is */
    struct phase_record records[PHASES_MAX];
    int record_count;
    struct guard *guard;

    struct identity *ranks; /* (size) */
    struct line *lines;     /* (size) as last seen */
    double *seen_s;         /* (size) when it had changed; 0: never looked at */
    double looked_s;
    bool *late;    /* (size) who is late, */
    double late_s; /* and since when these are */
    int64_t calls; /* of heartbeat_wait in the present wait, about one a second */
};

/* --- the own line --- */

static void write_line(struct heartbeat *h) {
    char text[LINE_BYTES];
    const struct identity *me = &h->ranks[h->comm->rank];
    memset(text, ' ', sizeof text);
    const int length = snprintf(text, sizeof text,
                                "%" PRId64 " step %" PRId64 " tile %" PRId64
                                " phase %s waits %s age %.1f rank %d host %s process %" PRId64,
                                ++h->self.beats, h->self.step, h->self.tile, h->self.phase,
                                h->self.waits, h->self.age_s, h->comm->rank, me->host, me->pid);
    text[length] = ' ';
    text[sizeof text - 1] = '\n';
    h->written_s = clock_now_s();
    /* Opened each time: what is closed can be seen by other machines. */
    const int file = open(h->path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return; /* a directory that is gone shows where it does harm */
    const ssize_t written = pwrite(file, text, sizeof text, (off_t)h->comm->rank * LINE_BYTES);
    (void)written;
    close(file);
}

static void set_word(char out[32], const char *text) {
    snprintf(out, 32, "%s", text);
    for (char *at = out; *at != '\0'; at++)
        if (*at == ' ')
            *at = '_';
}

static void count_age(struct heartbeat *h) {
    const double now_s = clock_now_s();
    h->self.age_s += fmin(now_s - h->counted_s, UNWATCHED_S);
    h->counted_s = now_s;
}

static struct phase_record *find_record(struct heartbeat *h, const char *phase) {
    for (int i = 0; i < h->record_count; i++)
        if (strcmp(h->records[i].phase, phase) == 0)
            return &h->records[i];
    return NULL;
}

void heartbeat_took(struct heartbeat *h, const char *phase, double seconds) {
    struct phase_record *record = h != NULL ? find_record(h, phase) : NULL;
    if (h == NULL)
        return;
    if (record == NULL) {
        ASSERT(h->record_count < PHASES_MAX);
        record = &h->records[h->record_count++];
        *record = (struct phase_record){.longest_s = 0.0};
        set_word(record->phase, phase);
    }
    record->longest_s = fmax(record->longest_s, seconds);
}

void heartbeat_phase(struct heartbeat *h, const char *phase, int64_t step) {
    if (h == NULL)
        return;
    count_age(h);
    heartbeat_took(h, h->self.phase, h->self.age_s);
    set_word(h->self.phase, phase);
    h->self.step = step;
    h->self.tile = -1;
    h->self.age_s = 0.0;
    guard_renew(h->guard);
    write_line(h);
}

void heartbeat_tile(struct heartbeat *h, int64_t tile) {
    if (h == NULL || h->self.tile == tile)
        return;
    h->self.tile = tile;
    guard_renew(h->guard);
    write_line(h);
}

/* --- the lines of the others --- */

static bool parse_line(const char *text, struct line *line) {
    *line = (struct line){.beats = 0};
    return sscanf(
               text, "%" SCNd64 " step %" SCNd64 " tile %" SCNd64 " phase %31s waits %31s age %lf",
               &line->beats, &line->step, &line->tile, line->phase, line->waits, &line->age_s) == 6;
}

/* Reads all lines; a rank whose line has changed, or that is seen for the first time, lives now. */
static void look(struct heartbeat *h) {
    char text[LINE_BYTES + 1];
    struct line line;
    const double now_s = clock_now_s();
    const int file = open(h->path, O_RDONLY | O_CLOEXEC);
    h->looked_s = now_s;
    if (file < 0)
        return;
    for (int r = 0; r < h->comm->size; r++) {
        const ssize_t n = pread(file, text, LINE_BYTES, (off_t)r * LINE_BYTES);
        text[n > 0 ? n : 0] = '\0';
        if (!parse_line(text, &line))
            continue;
        if (line.beats != h->lines[r].beats || h->seen_s[r] == 0.0)
            h->seen_s[r] = now_s;
        h->lines[r] = line;
    }
    close(file);
}

/* Whether the process of a rank is gone, as far as this machine can tell. */
static bool is_dead(const struct heartbeat *h, int rank) {
    const struct identity *me = &h->ranks[h->comm->rank], *it = &h->ranks[rank];
    if (rank == h->comm->rank || it->start <= 0 || strcmp(me->machine, it->machine) != 0 ||
        strcmp(me->pids, it->pids) != 0)
        return false;
    return process_start(it->pid) != it->start;
}

static bool is_silent(const struct heartbeat *h, int rank) {
    return rank != h->comm->rank && h->deadlines.sign_s > 0.0 && h->seen_s[rank] > 0.0 &&
           clock_now_s() - h->seen_s[rank] >= h->deadlines.sign_s;
}

/* How long a rank may be in a phase. */
static double phase_deadline_s(struct heartbeat *h, const char *phase) {
    const struct phase_record *record = find_record(h, phase);
    if (h->deadlines.phase_s > 0.0)
        return h->deadlines.phase_s;
    if (h->deadlines.sign_s <= 0.0)
        return INFINITY;
    return record == NULL ? FIRST_S : fmax(LONGER * record->longest_s, h->deadlines.sign_s);
}

static const struct line *line_of(const struct heartbeat *h, int rank) {
    return rank == h->comm->rank ? &h->self : &h->lines[rank];
}

/* Whether a rank is at work in a phase, by its line, slack_s longer than it may be. */
static bool is_overdue(struct heartbeat *h, int rank, double slack_s) {
    const struct line *line = line_of(h, rank);
    return strcmp(line->waits, "-") == 0 &&
           line->age_s >= phase_deadline_s(h, line->phase) + slack_s;
}

/* "rank 2 (host node7, process 123) has died in phase 'gradient' of step 3, tile 1" */
static size_t describe(const struct heartbeat *h, int rank, const char *fate, char *out,
                       size_t size) {
    const struct identity *who = &h->ranks[rank];
    const struct line *line = line_of(h, rank);
    char tile[32] = "", waits[64] = "";
    if (line->tile >= 0)
        snprintf(tile, sizeof tile, ", tile %" PRId64, line->tile);
    if (strcmp(line->waits, "-") != 0)
        snprintf(waits, sizeof waits, ", in '%s'", line->waits);
    const int n =
        snprintf(out, size,
                 "rank %d (host %s, process %" PRId64 ") %s in phase '%s' of step %" PRId64 "%s%s",
                 rank, who->host, who->pid, fate, line->phase, line->step, tile, waits);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

/* What is wrong with a rank that is late. */
static const char *fate_of(struct heartbeat *h, int rank, char fate[64]) {
    if (is_dead(h, rank))
        return "has died";
    if (is_silent(h, rank))
        snprintf(fate, 64, "gives no sign of life for %.0f s", h->deadlines.sign_s);
    else
        snprintf(fate, 64, "is still, after %.0f s,", line_of(h, rank)->age_s);
    return fate;
}

/* All that are late, as far as a sentence goes. */
static void list_late(struct heartbeat *h, int count, char *text, size_t size) {
    size_t at = 0;
    int named = 0;
    char fate[64];
    for (int r = 0; r < h->comm->size && named < NAMED_MAX; r++)
        if (h->late[r]) {
            at += (size_t)snprintf(text + at, size - at, "%s", named++ > 0 ? "; " : "");
            at += describe(h, r, fate_of(h, r, fate), text + at, 192);
        }
    if (count > named)
        snprintf(text + at, size - at, "; and %d more", count - named);
}

static enum status name_late(struct heartbeat *h, int count, const char *what) {
    char text[STATUS_SENTENCE_MAX];
    list_late(h, count, text, sizeof text);
    return FAIL(STATUS_COMM,
                "%s; rank %d waits for it in '%s' and ends the job (parallel.deadline_s = %.0f)",
                text, h->comm->rank, what, h->deadlines.sign_s);
}

/* Looks who is late. Returns how many are; *changed: they are not those of the last time. */
static int find_late(struct heartbeat *h, bool *changed) {
    int count = 0;
    *changed = false;
    for (int r = 0; r < h->comm->size; r++) {
        const bool late = is_dead(h, r) || is_silent(h, r) || is_overdue(h, r, GUARD_S);
        *changed = *changed || late != h->late[r];
        h->late[r] = late;
        count += late;
    }
    return count;
}

/* Ranks that are not late and speak before this one. */
static int speakers_before(const struct heartbeat *h) {
    int before = 0;
    for (int r = 0; r < h->comm->rank; r++)
        before += !h->late[r];
    return before < LOOKERS ? before : LOOKERS;
}

/* Ranks that all wait, each for another, will do so for ever: a defect, but no reason to stay. */
static bool all_wait(const struct heartbeat *h) {
    if (h->deadlines.sign_s <= 0.0 || (double)h->calls < 2.0 * h->deadlines.sign_s)
        return false;
    for (int r = 0; r < h->comm->size; r++)
        if (r != h->comm->rank && strcmp(h->lines[r].waits, "-") == 0)
            return false;
    return true;
}

/* Names the late ranks when they have been the same for a while. */
static enum status judge(struct heartbeat *h, const char *what) {
    bool changed;
    const int count = find_late(h, &changed);
    if (changed)
        h->late_s = clock_now_s();
    if (count == 0 || clock_now_s() - h->late_s < SETTLE_S + STAGGER_S * (double)speakers_before(h))
        return STATUS_OK;
    return name_late(h, count, what);
}

enum status heartbeat_wait(struct heartbeat *h, const char *what, double waited_s) {
    if (h == NULL)
        return STATUS_OK;
    const bool often = h->comm->rank < LOOKERS || h->deadlines.sign_s <= 0.0;
    set_word(h->self.waits, what);
    guard_renew(h->guard);
    count_age(h);
    write_line(h);
    if (clock_now_s() - h->looked_s >= (often ? BEAT_S : h->deadlines.sign_s / 10))
        look(h);
    h->calls = waited_s < 2.0 * BEAT_S ? 1 : h->calls + 1;
    enum status status = judge(h, what);
    if (status == STATUS_OK && all_wait(h))
        status = FAIL(STATUS_DEFECT, "all ranks wait for one another: rank %d for %.0f s in '%s'",
                      h->comm->rank, waited_s, what);
    set_word(h->self.waits, "-");
    return status;
}

/* --- the own phase --- */

/* The others' lines are up to a second old. */
static enum status name_overdue(struct heartbeat *h) {
    const double deadline_s = phase_deadline_s(h, h->self.phase);
    char text[STATUS_SENTENCE_MAX];
    int count = 0;
    look(h);
    for (int r = 0; r < h->comm->size; r++) {
        h->late[r] = r == h->comm->rank || is_overdue(h, r, -2.0 * BEAT_S);
        count += h->late[r];
    }
    list_late(h, count, text, sizeof text);
    return FAIL(STATUS_COMM,
                "%s, longer than the %.0f s that this may take (parallel.phase_deadline_s%s): the "
                "job ends",
                text, deadline_s,
                h->deadlines.phase_s > 0.0 ? "" : " = 0: 20 times what it took before");
}

enum status heartbeat_beat(struct heartbeat *h) {
    if (h == NULL)
        return STATUS_OK;
    guard_renew(h->guard);
    count_age(h);
    if (clock_now_s() - h->written_s >= BEAT_S)
        write_line(h);
    return is_overdue(h, h->comm->rank, 0.0) ? name_overdue(h) : STATUS_OK;
}

/* --- opening and closing --- */

static void describe_self(struct identity *me) {
    *me = (struct identity){.pid = (int64_t)getpid()};
    gethostname(me->host, sizeof me->host - 1);
    process_read_line("/proc/sys/kernel/random/boot_id", me->machine, sizeof me->machine);
    const ssize_t length = readlink("/proc/self/ns/pid", me->pids, sizeof me->pids - 1);
    me->pids[length > 0 ? length : 0] = '\0';
    me->start = process_start(me->pid);
    for (char *at = me->host; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~')
            *at = '?';
}

static enum status make_file(const struct heartbeat *h) {
    const int file = open(h->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        return FAIL(STATUS_IO, "%s: it cannot be created: %s", h->path, strerror(errno));
    close(file);
    return STATUS_OK;
}

/* On the guard's thread. */
static void say_hang(void *context, double seconds) {
    const struct heartbeat *h = context;
    const struct identity *me = &h->ranks[h->comm->rank];
    fprintf(stderr,
            "gradus: error: rank %d (host %s, process %" PRId64
            ") gives no sign of life for %.0f s in phase '%s' of step %" PRId64
            " and ends itself (parallel.deadline_s)\n",
            h->comm->rank, me->host, me->pid, seconds, h->self.phase, h->self.step);
}

static enum status make_parts(struct heartbeat *h) {
    struct identity me;
    size_t *sizes = NULL;
    describe_self(&me);
    TRY(comm_all_gather(h->comm, &me, sizeof me, (void **)&h->ranks, &sizes));
    memory_release(&sizes);
    TRY(memory_new(&h->lines, h->comm->size, "heartbeats"));
    TRY(memory_new(&h->seen_s, h->comm->size, "heartbeats"));
    TRY(memory_new(&h->late, h->comm->size, "heartbeats"));
    for (int r = 0; r < h->comm->size; r++)
        h->lines[r] = (struct line){.phase = "start", .waits = "-"};
    if (h->deadlines.sign_s > 0.0)
        TRY(guard_create(&h->guard, h->deadlines.sign_s + GUARD_S, status_exit(STATUS_COMM),
                         say_hang, h));
    return h->comm->rank == 0 ? make_file(h) : STATUS_OK;
}

enum status heartbeat_open(struct heartbeat **heartbeat, const char *path, struct comm *comm,
                           const struct heartbeat_deadlines *deadlines) {
    enum status status = memory_new(heartbeat, 1, "heartbeat");
    TRY_ELSE(status, done, comm_agree(comm, status));
    struct heartbeat *h = *heartbeat;
    *h = (struct heartbeat){.comm = comm, .deadlines = *deadlines, .counted_s = clock_now_s()};
    snprintf(h->path, sizeof h->path, "%s", path);
    snprintf(h->self.waits, sizeof h->self.waits, "-");
    snprintf(h->self.phase, sizeof h->self.phase, "start");
    status = comm_agree(comm, make_parts(h));
    if (status == STATUS_OK)
        heartbeat_phase(h, "start", 0);
done:
    if (status != STATUS_OK)
        heartbeat_close(heartbeat, true);
    return status;
}

void heartbeat_close(struct heartbeat **heartbeat, bool remove) {
    struct heartbeat *h = *heartbeat;
    if (h == NULL)
        return;
    guard_destroy(&h->guard);
    if (remove && h->comm->rank == 0)
        unlink(h->path);
    memory_release(&h->ranks);
    memory_release(&h->lines);
    memory_release(&h->seen_s);
    memory_release(&h->late);
    memory_release(heartbeat);
}
