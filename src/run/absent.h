/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a run's inputs is not on this machine. A plan for another machine does without it and
 * assumes instead; config.json is always needed.
 */
#ifndef RUN_ABSENT_H
#define RUN_ABSENT_H

#include <stdbool.h>

#include "config/settings.h"

struct absent {
    bool weights;   /* no safetensors: the tensors are taken to be what config.json asks for */
    bool tokenizer; /* no tokenizer.json: no text, so that no row can be counted */
    bool features;  /* the same two of mauve.features */
    bool data;      /* a file of data.train, or of eval.sets where they are evaluated, is missing */
};

struct absent absent_find(const struct settings *settings);

/* Whether rows cannot be counted, so that they count as long as the settings allow. */
bool absent_rows(const struct absent *absent);

#endif
