/* SPDX-License-Identifier: Apache-2.0 */
#include "run/status_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/json.h"

enum { FILE_BYTES = 1 << 20 }; /* a status.json at most */

static json_t *text_or_null(const char *text) {
    return text != NULL ? json_string(text) : json_null();
}

static json_t *describe(const struct run_state *state) {
    char now[24];
    const bool failed = state->status != STATUS_OK && state->status != STATUS_STOPPED;
    json_t *exit_status = state->ended ? json_integer(status_exit(state->status)) : json_null();
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:s, s:I, s:s, s:I, s:s, s:s}", "state",
        state->name, "step", (json_int_t)state->step, "steps", (json_int_t)state->steps,
        "checkpoint_step", (json_int_t)state->checkpoint_step, "next", state->next, "exit",
        exit_status, "error", text_or_null(failed ? status_sentence() : NULL), "advice",
        text_or_null(state->advice), "run", state->id, "attempt", (json_int_t)state->attempt,
        "host", state->holder->host, "pid", (json_int_t)state->holder->pid, "job",
        state->holder->job, "time", clock_utc(now));
}

/* Whether the file there tells how this attempt failed. */
static bool is_judged(const char *path, int64_t attempt) {
    json_t *root;
    if (json_read_file(path, FILE_BYTES, &root) != STATUS_OK)
        return false;
    const char *state = json_string_value(json_object_get(root, "state"));
    const bool judged = state != NULL && strcmp(state, "failed") == 0 &&
                        json_integer_value(json_object_get(root, "attempt")) == attempt;
    json_decref(root);
    return judged;
}

/* Writes the text, and puts it in its place unless the attempt has been judged by then. A writer
 * that was stopped comes back anywhere in here, so the look comes last before the rename. */
static enum status write_text(const char *path, const char *text, int64_t attempt) {
    struct atomic *atomic;
    TRY(atomic_file_create(&atomic, path));
    const int file = atomic_descriptor(atomic);
    enum status status = bytes_write(file, atomic_part(atomic), text, (int64_t)strlen(text));
    if (status == STATUS_OK && fsync(file) != 0)
        status = FAIL(STATUS_IO, "%s: it cannot be written: %s", path, strerror(errno));
    if (status == STATUS_OK && !is_judged(path, attempt))
        return atomic_commit(&atomic);
    atomic_abandon(&atomic);
    return status;
}

static enum status write_object(const char *path, json_t *root, int64_t attempt) {
    char *text = json_dumps(root, 0);
    json_decref(root);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "%s: memory ran out", path);
    const enum status status = write_text(path, text, attempt);
    free(text);
    return status;
}

enum status status_file_write(const char *path, const struct run_state *state) {
    return write_object(path, describe(state), state->attempt);
}

const char *status_file_next(enum status status) {
    const bool passing = status == STATUS_STOPPED || status_exit(status) == status_exit(STATUS_IO);
    return passing ? "continue" : "correct";
}

enum status status_file_read(const char *path, char *id, size_t size, int64_t *attempt) {
    json_t *root;
    const char *name;
    TRY(json_read_file(path, FILE_BYTES, &root));
    enum status status = json_get_string(root, path, "run", "", &name);
    if (status == STATUS_OK)
        status = json_get_integer(root, path, "attempt", 1, attempt);
    if (status == STATUS_OK && name[0] != '\0')
        snprintf(id, size, "%s", name);
    json_decref(root);
    return status;
}

enum status status_file_fail(const char *path, enum status status) {
    char sentence[STATUS_SENTENCE_MAX];
    json_t *root;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    TRY(json_read_file(path, FILE_BYTES, &root));
    json_object_set_new(root, "state", json_string("failed"));
    json_object_set_new(root, "exit", json_integer(status_exit(status)));
    json_object_set_new(root, "error", json_string(sentence));
    json_object_set_new(root, "next", json_string(status_file_next(status)));
    return write_object(path, root, json_integer_value(json_object_get(root, "attempt")));
}
