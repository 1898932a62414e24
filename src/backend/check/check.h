/* SPDX-License-Identifier: Apache-2.0
 *
 * The backend "check": runs every operation of another backend (cpu) under guard and refuses what
 * the contract of backend.h forbids. Slow; for tests and for finding defects.
 *
 * An operation gets fresh copies of its arguments. Copies stand between sentinels; outputs are
 * filled with NaN before; inputs must be as they were after; released memory is known and refused;
 * arguments must lie inside one live allocation and may overlap only where the slot allows it; an
 * output must be finite where all inputs were. Host arguments are copied and guarded too, but may
 * lie anywhere. Pages of a cache stay where they are and are compared before and after, up to the
 * end of the layer in use. What is found is STATUS_DEFECT and a sentence that names the
 * operation and the argument.
 */
#ifndef BACKEND_CHECK_CHECK_H
#define BACKEND_CHECK_CHECK_H

#include "backend/backend.h"

/* Over the cpu backend, with that many threads (0: one for each core). */
enum status check_open(struct backend *backend, int threads) MUST_USE;

/* Over an open backend whose memory the host can read and whose weights have the layout of the CPU.
 * Takes `inner` over: it is closed with *backend, and when this fails. */
enum status check_wrap(struct backend *backend, struct backend inner) MUST_USE;

#endif
