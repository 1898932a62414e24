/* SPDX-License-Identifier: Apache-2.0 */
#include "reward/program.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "reward/program_line.h"

enum {
    READ_BYTES = 1 << 16,
    LOOK_MS = 100, /* between two beats */
    ERROR_LINE_MOST = 4096
};

#define END_PATIENCE_S                                                                             \
    2.0 /* for the exit status and last words of a program that closed its output */

struct reward_program {
    struct reward_program_settings settings;
    char name[STATUS_QUOTE_MAX]; /* its path, quoted */
    struct child child;
    struct strbuf asked;          /* lines of the batch */
    size_t sent;                  /* bytes of them */
    struct strbuf output, errors; /* the beginning of a line that is not whole yet */
    char last_words[STATUS_QUOTE_MAX];
    int64_t next_id; /* of the next batch */
    long line;       /* lines that it has written */
    bool broken;     /* good for closing only */
};

/* A batch at work. */
struct batch {
    int64_t count, known; /* answers wanted, and had */
    double *scores;       /* (count) */
    bool *has;            /* (count) */
};

enum status reward_program_check(const char *path) {
    char quoted[STATUS_QUOTE_MAX];
    struct stat info;
    status_quote(quoted, path, SIZE_MAX);
    if (stat(path, &info) != 0)
        return FAIL(STATUS_INPUT, "the reward program '%s' cannot be found: %s", quoted,
                    strerror(errno));
    if (!S_ISREG(info.st_mode) || access(path, X_OK) != 0)
        return FAIL(STATUS_INPUT,
                    "the reward program '%s' cannot be run: it must be a file with the right to be "
                    "executed (chmod +x), and a script begins with #! and its interpreter",
                    quoted);
    return STATUS_OK;
}

enum status reward_program_open(struct reward_program **program,
                                const struct reward_program_settings *settings) {
    char environment[64];
    struct reward_program *p;
    TRY(reward_program_check(settings->path));
    TRY(memory_new(program, 1, "a reward program"));
    p = *program;
    *p = (struct reward_program){.settings = *settings, .child = CHILD_NONE};
    status_quote(p->name, settings->path, SIZE_MAX);
    snprintf(environment, sizeof environment, "GRADUS_RANK=%d GRADUS_RANKS=%d", settings->rank,
             settings->ranks);
    const enum status status =
        child_start(&p->child, settings->path, settings->arguments, environment);
    if (status != STATUS_OK)
        reward_program_close(program);
    return status;
}

void reward_program_close(struct reward_program **program) {
    struct reward_program *p = *program;
    if (p == NULL)
        return;
    child_stop(&p->child, !p->broken);
    strbuf_release(&p->asked);
    strbuf_release(&p->output);
    strbuf_release(&p->errors);
    memory_release(program);
}

/* --- lines that come --- */

/* Hands each whole line of `text` to `visit` and keeps the rest. */
static enum status take_lines(struct reward_program *p, struct batch *batch, struct strbuf *text,
                              enum status (*visit)(struct reward_program *, struct batch *,
                                                   const char *, size_t)) {
    enum status status = STATUS_OK;
    size_t begin = 0;
    const char *end;
    while (status == STATUS_OK && begin < text->length &&
           (end = memchr(text->text + begin, '\n', text->length - begin)) != NULL) {
        status = visit(p, batch, text->text + begin, (size_t)(end - text->text) - begin);
        begin = (size_t)(end - text->text) + 1;
    }
    if (begin > 0) {
        memmove(text->text, text->text + begin, text->length - begin);
        text->length -= begin;
    }
    return status;
}

/* What is there to read is appended; *ended: the other end is closed. */
static enum status read_some(int *fd, struct strbuf *text, bool *ended) {
    char bytes[READ_BYTES];
    const ssize_t n = read(*fd, bytes, sizeof bytes);
    *ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    if (*ended) {
        close(*fd);
        *fd = -1;
    }
    return n > 0 ? strbuf_append(text, bytes, (size_t)n) : STATUS_OK;
}

static enum status tell_words(struct reward_program *p, struct batch *batch, const char *text,
                              size_t length) {
    (void)batch;
    if (length == 0)
        return STATUS_OK;
    status_quote(p->last_words, text, length);
    if (p->settings.rank == 0)
        log_info("reward", "program: %.*s",
                 (int)(length < ERROR_LINE_MOST ? length : ERROR_LINE_MOST), text);
    return STATUS_OK;
}

/* Standard error: lines for the log; one that is too long is told in pieces. */
static enum status read_errors(struct reward_program *p) {
    bool ended;
    TRY(read_some(&p->child.errors, &p->errors, &ended));
    TRY(take_lines(p, NULL, &p->errors, tell_words));
    if ((ended && p->errors.length > 0) || p->errors.length > ERROR_LINE_MOST) {
        TRY(tell_words(p, NULL, strbuf_text(&p->errors), p->errors.length));
        strbuf_clear(&p->errors);
    }
    return STATUS_OK;
}

static enum status take_answer(struct reward_program *p, struct batch *batch, const char *text,
                               size_t length) {
    struct program_answer answer;
    p->line++;
    if (program_line_read(text, length, p->name, p->line, &answer) != STATUS_OK)
        return FAIL(STATUS_REWARD, "the reward program has written a line that is no answer: %s",
                    status_sentence());
    if (answer.says[0] != '\0')
        return FAIL(STATUS_REWARD, "the reward program '%s' ends the run: '%s'", p->name,
                    answer.says);
    const int64_t first = p->next_id - batch->count, i = answer.id - first;
    if (i < 0 || i >= batch->count || batch->has[i])
        return FAIL(
            STATUS_REWARD, "the reward program '%s' has answered id %lld in its line %ld, which %s",
            p->name, (long long)answer.id, p->line,
            answer.id >= 0 && i < batch->count ? "was answered before" : "was not asked for");
    batch->scores[i] = answer.reward;
    batch->has[i] = true;
    batch->known++;
    return STATUS_OK;
}

/* --- a batch --- */

/* Its exit status and last words come a little later than the end of its output. */
static enum status tell_death(struct reward_program *p, const struct batch *batch) {
    const double start_s = clock_now_s();
    while (p->child.errors >= 0 && clock_now_s() - start_s < END_PATIENCE_S) {
        struct pollfd look = {.fd = p->child.errors, .events = POLLIN};
        if (poll(&look, 1, LOOK_MS) > 0)
            TRY(read_errors(p));
    }
    const bool ended = child_ended(&p->child, END_PATIENCE_S);
    char end[CHILD_END_BYTES + 32];
    snprintf(end, sizeof end, ended ? "has ended (%s)" : "has closed its output%s", p->child.end);
    return FAIL(STATUS_REWARD, "the reward program '%s' %s after %lld of %lld answers%s%s%s",
                p->name, end, (long long)batch->known, (long long)batch->count,
                p->last_words[0] != '\0' ? "; its last words: '" : "", p->last_words,
                p->last_words[0] != '\0' ? "'" : "");
}

/* An input that is closed shows in the output too: the program's death is told there. */
static void write_some(struct reward_program *p) {
    const ssize_t n = write(p->child.input, p->asked.text + p->sent, p->asked.length - p->sent);
    if (n > 0)
        p->sent += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        child_close_input(&p->child);
}

static enum status read_answers(struct reward_program *p, struct batch *batch) {
    bool ended;
    TRY(read_some(&p->child.output, &p->output, &ended));
    TRY(take_lines(p, batch, &p->output, take_answer));
    if (p->output.length > PROGRAM_LINE_MOST)
        return FAIL(STATUS_REWARD,
                    "the reward program '%s' has written a line of more than %d bytes", p->name,
                    PROGRAM_LINE_MOST);
    return ended && batch->known < batch->count ? tell_death(p, batch) : STATUS_OK;
}

/* Whatever can be read or written now, waiting a moment for it. */
static enum status exchange_some(struct reward_program *p, struct batch *batch) {
    const bool more = p->sent < p->asked.length;
    struct pollfd ends[] = {{.fd = more ? p->child.input : -1, .events = POLLOUT},
                            {.fd = p->child.output, .events = POLLIN},
                            {.fd = p->child.errors, .events = POLLIN}};
    if (p->child.output < 0)
        return tell_death(p, batch);
    if (poll(ends, 3, LOOK_MS) <= 0)
        return STATUS_OK;
    if (ends[2].revents != 0)
        TRY(read_errors(p));
    if (ends[1].revents != 0)
        TRY(read_answers(p, batch));
    if (ends[0].revents != 0)
        write_some(p);
    return STATUS_OK;
}

static enum status tell_late(const struct reward_program *p, const struct batch *batch) {
    return FAIL(
        STATUS_REWARD,
        "the reward program '%s' has given %lld of %lld answers within %g s, the deadline_s "
        "of its part; raise that, or look why it waits (a program must flush its output)",
        p->name, (long long)batch->known, (long long)batch->count, p->settings.deadline_s);
}

static enum status exchange(struct reward_program *p, struct batch *batch,
                            const struct pulse *pulse) {
    const double start_s = clock_now_s();
    while (batch->known < batch->count) {
        TRY(pulse_beat(pulse));
        TRY(exchange_some(p, batch));
        if (batch->known < batch->count && clock_now_s() - start_s > p->settings.deadline_s)
            return tell_late(p, batch);
    }
    if (p->output.length > 0)
        return FAIL(
            STATUS_REWARD,
            "the reward program '%s' has written more than it was asked for, behind its line "
            "%ld",
            p->name, p->line);
    return STATUS_OK;
}

static enum status ask(struct reward_program *p, const struct reward_input *inputs, int64_t count) {
    strbuf_clear(&p->asked);
    p->sent = 0;
    for (int64_t i = 0; i < count; i++)
        TRY(program_line_ask(&inputs[i], p->next_id++, i == count - 1, &p->asked));
    return STATUS_OK;
}

enum status reward_program_grade(struct reward_program *program, const struct reward_input *inputs,
                                 int64_t count, const struct pulse *pulse, double *scores) {
    struct batch batch = {.count = count, .scores = scores};
    ASSERT(!program->broken);
    if (count == 0)
        return STATUS_OK;
    TRY(memory_new(&batch.has, count, "answers of a reward program"));
    enum status status = ask(program, inputs, count);
    if (status == STATUS_OK)
        status = exchange(program, &batch, pulse);
    program->broken = status != STATUS_OK;
    memory_release(&batch.has);
    return status;
}
