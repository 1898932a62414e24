/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes of this machine.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* When a process began, in the machine's ticks: with its id it names one process for ever. 0: there
 * is no such process, or it has ended; −1: the system does not tell. */
int64_t process_start(int64_t pid);

/* The first line of a small file, or "" where there is none. */
void process_read_line(const char *path, char *out, size_t size);

#endif
