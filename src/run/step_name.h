/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of files that belong to one step: "step-000100.h5".
 */
#ifndef RUN_STEP_NAME_H
#define RUN_STEP_NAME_H

#include <stdint.h>

enum { STEP_NAME_BYTES = 32 };

/* The name of a step's file; returns `out`. */
const char *step_name(char out[STEP_NAME_BYTES], int64_t step);

/* The step of such a name; −1 for every other name. */
int64_t step_name_parse(const char *name);

#endif
