/* SPDX-License-Identifier: Apache-2.0
 *
 * How a function says that it could not do its work.
 *
 * Every function that can fail returns an enum status. The place where the trouble is found writes
 * one sentence (what, where, the value, the remedy) with FAIL; every caller hands the status on
 * with TRY; only the end of a command prints the sentence, once. The sentence is kept per thread.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stddef.h>

/* name, exit status of the process, what it means */
#define STATUS_LIST(X)                                                                             \
    X(OK, 0, "finished")                                                                           \
    X(USAGE, 1, "the command was called in a wrong way")                                           \
    X(INPUT, 2, "an input file or a parameter is wrong")                                           \
    X(DEFECT, 70, "a defect of the program")                                                       \
    X(MEMORY, 70, "memory ran out")                                                                \
    X(IO, 75, "a file could not be read or written")                                               \
    X(COMM, 75, "another process could not be reached")                                            \
    X(NUMERIC, 70, "a number was not finite")                                                      \
    X(REWARD, 75, "a reward from outside could not be had")                                        \
    X(STOPPED, 85, "stopped on request, with a checkpoint of its last finished step")

enum status {
#define X(name, exit, text) STATUS_##name,
    STATUS_LIST(X)
#undef X
};

#define STATUS_SENTENCE_MAX 1024

#define MUST_USE __attribute__((warn_unused_result))

/* Keeps the sentence made of format and arguments and returns `status`. FAIL is the usual way to
 * call it. Control characters and broken UTF-8 in it are escaped, so it is always one line; the
 * kept sentence may be an argument. */
enum status status_fail(enum status status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The kept sentence of this thread ("" when none), and where it was written as "file:line". */
const char *status_sentence(void);
const char *status_place(void);

/* Replaces the kept sentence: used when another rank's sentence is to be printed. */
void status_set_sentence(const char *sentence);

/* Forgets the kept sentence, for callers that go on after a failure. */
void status_clear(void);

/* Meaning and exit status of the process. */
const char *status_text(enum status status);
int status_exit(enum status status);

/* Foreign text for a sentence: at most STATUS_QUOTE_CHARACTERS characters and "…" where cut, with
 * control characters and broken UTF-8 as \xNN, quotes and backslashes behind a backslash (see
 * printable.h). Returns `out`. `length` may be SIZE_MAX for a terminated string. */
#define STATUS_QUOTE_CHARACTERS 80
#define STATUS_QUOTE_MAX        (4 * STATUS_QUOTE_CHARACTERS + 4) /* bytes, with "…" and the end */
const char *status_quote(char out[STATUS_QUOTE_MAX], const char *text, size_t length);

/* return FAIL(STATUS_INPUT, "%s:%d: group_size = %d is below 2", path, line, value); */
#define FAIL(status, ...) status_fail((status), __FILE__, __LINE__, __VA_ARGS__)

/* Hands a failure on to the caller. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const enum status try_status_ = (call);                                                    \
        if (try_status_ != STATUS_OK)                                                              \
            return try_status_;                                                                    \
    } while (0)

/* The same where something must be given back first: `variable` takes the status. */
#define TRY_ELSE(variable, label, call)                                                            \
    do {                                                                                           \
        (variable) = (call);                                                                       \
        if ((variable) != STATUS_OK)                                                               \
            goto label;                                                                            \
    } while (0)

/* Our own mistakes: always compiled in, ends the process with a sentence. */
#define ASSERT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            status_defect(__FILE__, __LINE__, #condition);                                         \
    } while (0)
__attribute__((noreturn)) void status_defect(const char *file, int line, const char *condition);

/* Called by status_defect before it aborts, so that all processes of a job end; NULL for none. */
void status_on_defect(void (*abort_all)(void));

#endif
