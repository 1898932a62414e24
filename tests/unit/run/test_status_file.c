/* SPDX-License-Identifier: Apache-2.0
 *
 * status.json keeps the first failure of an attempt, whoever writes after it, until the next attempt
 * writes; and a writer that was stopped in the middle does not write into its successor's file.
 */
#include "run/status_file.h"

#include <unistd.h>

#include "check.h"
#include "file/atomic.h"
#include "file/json.h"
#include "unit/file/folder.h"

static struct lock_holder holder = {.host = "node7", .job = "", .pid = 1};

static struct run_state state_of(const char *name, int64_t attempt) {
    const bool failed = strcmp(name, "failed") == 0;
    return (struct run_state){.name = name,
                              .next = "wait",
                              .id = "a run",
                              .attempt = attempt,
                              .steps = 5,
                              .ended = failed,
                              .status = failed ? STATUS_COMM : STATUS_OK,
                              .holder = &holder};
}

static void write_state(const char *name, int64_t attempt) {
    const struct run_state state = state_of(name, attempt);
    CHECK_OK(status_file_write(folder_file("status.json"), &state));
    CHECK_EQ(folder_entries(folder_path), 1);
}

/* What the file says. */
static void check_says(const char *name, const char *error, int64_t attempt) {
    json_t *root;
    CHECK_OK(json_read_file(folder_file("status.json"), 4096, &root));
    CHECK_TEXT(json_string_value(json_object_get(root, "state")), name);
    CHECK_EQ(json_integer_value(json_object_get(root, "attempt")), attempt);
    const char *have = json_string_value(json_object_get(root, "error"));
    CHECK_TEXT(have == NULL ? "none" : have, error);
    json_decref(root);
}

static void test_first_failure_counts(void) {
    write_state("running", 1);
    check_says("running", "none", 1);
    status_set_sentence("rank 0 gives no sign of life");
    CHECK_OK(status_file_fail(folder_file("status.json"), STATUS_COMM));
    check_says("failed", "rank 0 gives no sign of life", 1);
    write_state("running", 1); /* rank 0 comes back */
    check_says("failed", "rank 0 gives no sign of life", 1);
    status_set_sentence("rank 1 has died");
    write_state("failed", 1);
    CHECK_OK(status_file_fail(folder_file("status.json"), STATUS_COMM));
    check_says("failed", "rank 0 gives no sign of life", 1);
    write_state("running", 2);
    check_says("running", "none", 2);
}

/* A text that is no status is replaced. */
static void test_foreign(void) {
    folder_write(folder_file("status.json"), "{\"state\": 3}", 12);
    write_state("running", 1);
    check_says("running", "none", 1);
}

static void test_stopped_writer(void) {
    struct atomic *stopped, *other;
    CHECK_OK(atomic_file_create(&stopped, folder_file("text")));
    CHECK_OK(atomic_file_create(&other, folder_file("text")));
    CHECK_EQ(write(atomic_descriptor(other), "whole", 5), 5);
    CHECK_OK(atomic_commit(&other));
    CHECK_EQ(write(atomic_descriptor(stopped), "half of it", 10), 10);
    atomic_abandon(&stopped);
    size_t n;
    char *text = folder_read(folder_file("text"), &n);
    CHECK_TEXT(text, "whole");
    free(text);
}

int main(void) {
    folder_make();
    test_first_failure_counts();
    test_foreign();
    test_stopped_writer();
    folder_remove();
    return CHECK_END();
}
