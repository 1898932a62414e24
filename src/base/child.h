/* SPDX-License-Identifier: Apache-2.0
 *
 * A program that this process starts and talks to through its three standard streams. Our ends never
 * block, so that who waits for it can do other things, and no program of ours or of others inherits
 * them: the child sees the end of its input as soon as this process is gone, whatever ended it. It
 * is made by posix_spawn, which runs nothing of ours in the new process, as libraries of MPI ask for,
 * and leads a process group of its own: a Ctrl-C at the terminal does not reach it, and what it has
 * started itself ends with it.
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { CHILD_END_BYTES = 64 };

struct child {
    int64_t pid;               /* 0: none */
    int input, output, errors; /* its streams, seen from here; −1: closed */
    char end[CHILD_END_BYTES]; /* how it ended, "exit status 3", "signal 9"; "" before */
};

#define CHILD_NONE ((struct child){.input = -1, .output = -1, .errors = -1})

/* Starts the program `path` with the words that a shell makes of `arguments` (quotes, variables), and
 * with `settings`, as "A=1 B=2", in its environment. STATUS_IO with a sentence
 * when it cannot; whether the file can be run shows at its end only (exit status 126 or 127). From
 * now on this process outlives a write to a program that has ended (SIGPIPE). */
enum status child_start(struct child *child, const char *path, const char *arguments,
                        const char *settings) MUST_USE;

/* Whether it has ended, waiting for that at most so long; fills in `end`. */
bool child_ended(struct child *child, double patience_s);

/* Closes our end of its input. */
void child_close_input(struct child *child);

/* Ends it: by the end of its input where `gently`, then by SIGTERM, then by SIGKILL, with a second
 * after each of the first two; and its process group with it. Does nothing on CHILD_NONE. */
void child_stop(struct child *child, bool gently);

#endif
