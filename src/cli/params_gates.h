/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus params --gates: the gates as they are compiled, as numbers for pictures and for tests.
 */
#ifndef CLI_PARAMS_GATES_H
#define CLI_PARAMS_GATES_H

#include "base/status.h"
#include "base/strbuf.h"

/* Appends two lines of JSON for each gate, for a positive and a negative advantage:
 * {"gate": "erf", "advantage": 1, "ratio": […], "value": […], "slope": […]}, f and f' at ratios from 0
 * to 2 in steps of 0.01. τ and bounds are those of the input file `path` with these overrides; NULL:
 * of the defaults with them. */
enum status params_gates(const char *path, char *const *overrides, int override_count,
                         struct strbuf *out) MUST_USE;

#endif
