/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends the process when something takes too long that cannot be looked at from inside: a call of a
 * library that blocks, a file system that does not answer. A thread of its own counts the seconds.
 * While the process is stopped (SIGSTOP, a debugger) they do not count.
 */
#ifndef BASE_GUARD_H
#define BASE_GUARD_H

#include "base/status.h"

struct guard;

/* After `seconds` without guard_renew, `expire` is called on the guard's thread, to say a sentence on
 * standard error in few moments; then the process ends with exit_status, nothing else is done. The
 * caller destroys the guard. */
enum status guard_create(struct guard **guard, double seconds, int exit_status,
                         void (*expire)(void *context, double seconds), void *context) MUST_USE;
void guard_renew(struct guard *guard);
void guard_destroy(struct guard **guard);

#endif
