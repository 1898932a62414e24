/* SPDX-License-Identifier: Apache-2.0 */
#include "run/status_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "file/atomic.h"

enum status status_file_write(const char *path, const struct run_state *state) {
    char now[24];
    const bool failed = state->status != STATUS_OK && state->status != STATUS_STOPPED;
    json_t *exit_status = state->ended ? json_integer(status_exit(state->status)) : json_null(),
           *error = failed ? json_string(status_sentence()) : NULL;
    json_t *root =
        json_pack("{s:s, s:I, s:I, s:I, s:s, s:o, s:o, s:s}", "state", state->name, "step",
                  (json_int_t)state->step, "steps", (json_int_t)state->steps, "checkpoint_step",
                  (json_int_t)state->checkpoint_step, "next", state->next, "exit", exit_status,
                  "error", error != NULL ? error : json_null(), "time", clock_utc(now));
    char *text = json_dumps(root, 0);
    json_decref(root);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "%s: memory ran out", path);
    const enum status status = atomic_write_file(path, text, (int64_t)strlen(text));
    free(text);
    return status;
}
