/* SPDX-License-Identifier: Apache-2.0
 *
 * What a new run may remove: the files of an earlier run in its own directory, by exact names, and
 * nothing else, whatever the directory is called and whatever lies in it.
 */
#include "run/directory.h"

#include "base/memory.h"
#include "check.h"
#include "unit/file/folder.h"

#define MODEL "somewhere/model"
static const struct directory_starts start = {.model = MODEL};

static const char state[] = "{\"state\": \"running\", \"run\": \"now here 7\"}";
static const char note[] = "{\"run\": \"now here 7\", \"step\": 3}";

/* Files of a run, and two that look like them. */
static const char *const own[] = {
    "settings.cfg",
    "log.txt",
    "metrics.jsonl",
    "diagnostics.h5",
    "diagnostics.h5.gradus.part",
    "rollouts/step-000001.h5",
    "rollouts/step-1000000.h5",
    "checkpoints/step-000002.h5",
    "checkpoints/step-000003.h5.gradus.part",
    "checkpoints/step-000003.h5.gradus.damaged",
};
static const char *const others[] = {
    "notes.txt",
    "a.part",
    "rollouts/step-1.h5",
    "rollouts/step-0000001.h5",
    "rollouts/step-000001.h5.bak",
    "rollouts/settings.cfg",
    "checkpoints/best-step-000002.h5",
};
enum { OWN = sizeof own / sizeof *own, OTHERS = sizeof others / sizeof *others };

static const char *in(const char *directory, const char *name) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return folder_file(path);
}

static void write_text(const char *directory, const char *name, const char *text) {
    folder_write(in(directory, name), text, strlen(text));
}

static int count_files(const char *directory, const char *const *names, int n) {
    int count = 0;
    for (int i = 0; i < n; i++)
        count += access(in(directory, names[i]), F_OK) == 0;
    return count;
}

/* A directory as a run left it; `status` its status.json. */
static void make_run(const char *directory, const char *status) {
    mkdir(folder_file(directory), 0777);
    mkdir(in(directory, "rollouts"), 0777);
    mkdir(in(directory, "checkpoints"), 0777);
    for (int i = 0; i < OWN; i++)
        write_text(directory, own[i], "x");
    for (int i = 0; i < OTHERS; i++)
        write_text(directory, others[i], "x");
    if (status != NULL)
        write_text(directory, "status.json", status);
}

static void make_model(const char *directory, const char *its_note) {
    mkdir(in(directory, "model"), 0777);
    write_text(directory, "model/config.json", "{}");
    write_text(directory, "model/model-00001-of-00002.safetensors", "x");
    if (its_note != NULL)
        write_text(directory, "model/gradus_run.json", its_note);
}

static enum status claim(const char *directory, bool fresh) {
    struct lock *lock;
    bool found;
    TRY(directory_claim(&lock, folder_file(directory), &start, fresh, &found));
    CHECK(access(in(directory, DIRECTORY_LOCK), F_OK) == 0);
    lock_release(&lock);
    return STATUS_OK;
}

/* Whether a run is found there. */
static bool holds_run(const char *directory) {
    bool found;
    CHECK_OK(directory_check(folder_file(directory), &start, &found));
    return found;
}

/* Refused by the look beforehand and by the claim, without a change. */
static void check_refused(const char *directory, bool fresh, const char *words) {
    const int own_before = count_files(directory, own, OWN);
    bool found;
    CHECK_STATUS(directory_check(folder_file(directory), &start, &found), STATUS_INPUT, words);
    CHECK(!found);
    CHECK_STATUS(claim(directory, fresh), STATUS_INPUT, words);
    CHECK_EQ(count_files(directory, own, OWN), own_before);
    CHECK(access(in(directory, DIRECTORY_LOCK), F_OK) != 0);
}

static void test_new(void) {
    CHECK(!holds_run("new/inner"));
    CHECK(access(folder_file("new"), F_OK) != 0);
    CHECK_OK(claim("new/inner", false));
    CHECK_EQ(folder_entries(folder_file("new/inner")), 2); /* rollouts, checkpoints */
    CHECK_OK(claim("new/inner", false));                   /* empty ones are no run */
    CHECK_OK(claim("new/inner", true));
}

static void test_fresh(void) {
    make_run("run", state);
    make_model("run", note);
    CHECK(holds_run("run"));
    CHECK_OK(claim("run", false)); /* to go on: everything stays */
    CHECK_EQ(count_files("run", own, OWN), OWN);
    CHECK_EQ(folder_entries(in("run", "model")), 3);
    CHECK_OK(claim("run", true));
    CHECK(!holds_run("run"));
    CHECK_EQ(count_files("run", own, OWN), 0);
    CHECK_EQ(count_files("run", others, OTHERS), OTHERS);
    CHECK(access(in("run", "status.json"), F_OK) != 0);
    CHECK(access(in("run", "model"), F_OK) != 0);
    CHECK_OK(claim("run", false));
}

/* The name of the directory is no pattern. */
static void test_pattern_name(void) {
    make_run("run1", state);
    make_run("run[1]", state);
    make_run("run*", state);
    CHECK_OK(claim("run[1]", true));
    CHECK_OK(claim("run*", true));
    CHECK_EQ(count_files("run[1]", own, OWN), 0);
    CHECK_EQ(count_files("run*", own, OWN), 0);
    CHECK_EQ(count_files("run1", own, OWN), OWN);
}

/* Links are removed or refused, never followed. */
static void test_links(void) {
    make_run("linked", state);
    mkdir(folder_file("elsewhere"), 0777);
    write_text("elsewhere", "step-000001.h5", "x");
    write_text("elsewhere", "log.txt", "x");
    unlink(in("linked", "log.txt"));
    CHECK(symlink("../elsewhere/log.txt", in("linked", "log.txt")) == 0);
    CHECK_OK(claim("linked", true));
    CHECK(access(in("linked", "log.txt"), F_OK) != 0);
    CHECK_EQ(folder_entries(folder_file("elsewhere")), 2);
    folder_clear(in("linked", "rollouts"));
    CHECK(symlink("../elsewhere", in("linked", "rollouts")) == 0);
    check_refused("linked", true, "is a link or no folder");
    check_refused("linked", false, "is a link or no folder");
    CHECK_EQ(folder_entries(folder_file("elsewhere")), 2);
}

/* Without the status.json of a run, files of such names are somebody's own. */
static void test_no_run(void) {
    mkdir(folder_file("mine"), 0777);
    write_text("mine", "settings.cfg", "run : {};");
    check_refused("mine", false, "not the status.json of a run");
    check_refused("mine", true, "not the status.json of a run");
    write_text("mine", "status.json", "{\"status\": \"all is well\"}");
    check_refused("mine", true, "not the status.json of a run");
    unlink(in("mine", "settings.cfg"));
    check_refused("mine", true, "not the status.json of a run");
}

static void test_model(void) {
    mkdir(folder_file("foreign"), 0777);
    make_model("foreign", NULL);
    check_refused("foreign", false, "one that no run here has left");
    check_refused("foreign", true, "one that no run here has left");
    make_run("foreign", state); /* a run was here, but the model is another's */
    check_refused("foreign", true, "one that no run here has left");
    make_model("foreign", "{\"run\": \"some other run\"}");
    check_refused("foreign", true, "one that no run here has left");
    make_model("foreign", note);
    write_text("foreign", "model/README.md", "mine");
    check_refused("foreign", true, "model/README.md: no run has written this");
    CHECK_EQ(folder_entries(in("foreign", "model")), 4);
    unlink(in("foreign", "model/README.md"));
    bool found;
    const struct directory_starts own_model = {.model = in("foreign", "model")};
    CHECK_STATUS(directory_check(folder_file("foreign"), &own_model, &found), STATUS_INPUT,
                 "model.path is ");
    const struct directory_starts own_adapter = {.model = MODEL, .adapter = in("foreign", "model")};
    CHECK_STATUS(directory_check(folder_file("foreign"), &own_adapter, &found), STATUS_INPUT,
                 "lora.adapter is ");
    CHECK_OK(claim("foreign", true));
    CHECK(access(in("foreign", "model"), F_OK) != 0);
}

/* A model that a kill caught between its two names. */
static void test_recovered(void) {
    make_run("killed", state);
    make_model("killed", note);
    CHECK(rename(in("killed", "model"), in("killed", "model.gradus.old")) == 0);
    CHECK_OK(claim("killed", false));
    CHECK_EQ(folder_entries(in("killed", "model")), 3);
    CHECK(access(in("killed", "model.gradus.old"), F_OK) != 0);
}

int main(void) {
    folder_make();
    test_new();
    test_fresh();
    test_pattern_name();
    test_links();
    test_no_run();
    test_model();
    test_recovered();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
