/* SPDX-License-Identifier: Apache-2.0
 *
 * From where a run goes on, and whether its settings let it. A run that goes on from an earlier
 * checkpoint has the same bits later on, so that a checkpoint which cannot be used costs time alone:
 * it never stands in the way while an earlier one is good.
 */
#include "run/restart.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/printable.h"
#include "file/bytes.h"
#include "run/checkpoint_folder.h"
#include "run/checkpoint_read.h"
#include "run/step_name.h"

enum { SETTINGS_BYTES_MAX = 1 << 24 };

/* --- which checkpoint --- */

static enum status checkpoint_path(const struct settings *settings, int64_t step,
                                   char path[DIRECTORY_PATH_BYTES]) {
    char name[64], file[STEP_NAME_BYTES];
    snprintf(name, sizeof name, "checkpoints/%s", step_name(file, step));
    return directory_path(settings->run.directory, path, name);
}

/* None can be used. What a disk does not give may be good: another attempt finds out. */
static enum status fail_all(const struct settings *settings, int64_t count, int64_t unreadable,
                            const char *newest) {
    if (unreadable > 0)
        return FAIL(STATUS_IO,
                    "%s: none of its %lld checkpoints can be used, for %lld of them cannot be read "
                    "(%s): submit again when the file system is well, or name one elsewhere by "
                    "--restart",
                    settings->run.directory, (long long)count, (long long)unreadable, newest);
    return FAIL(STATUS_INPUT,
                "%s: none of its %lld checkpoints is good (%s): name one elsewhere by --restart, "
                "or start over with --fresh",
                settings->run.directory, (long long)count, newest);
}

static enum status verify(void *path) {
    return checkpoint_verify(path);
}

/* The newest of the steps whose file is whole and can be read; one that is not is named. */
static enum status choose_step(const struct settings *settings, const int64_t *steps, int64_t count,
                               struct restart *restart) {
    char newest[STATUS_SENTENCE_MAX / 2] = "";
    int64_t unreadable = 0;
    for (int64_t i = 0; i < count; i++) {
        TRY(checkpoint_path(settings, steps[i], restart->path));
        const enum status status = checkpoint_retry(verify, restart->path);
        if (status == STATUS_OK) {
            restart->step = steps[i];
            return STATUS_OK;
        }
        if (status != STATUS_INPUT && status != STATUS_IO)
            return status;
        unreadable += status == STATUS_IO;
        log_warning("checkpoint", "%s%s", status_sentence(),
                    i + 1 < count ? "; the one before is tried" : "");
        if (i == 0)
            snprintf(newest, sizeof newest, "%s", status_sentence());
        status_clear();
    }
    restart->path[0] = '\0';
    return count > 0 ? fail_all(settings, count, unreadable, newest) : STATUS_OK;
}

static enum status choose_newest(const struct settings *settings, struct restart *restart) {
    char folder[DIRECTORY_PATH_BYTES];
    int64_t *steps, count;
    TRY(directory_path(settings->run.directory, folder, "checkpoints"));
    TRY(checkpoint_list(folder, &steps, &count));
    const enum status status = choose_step(settings, steps, count, restart);
    memory_release(&steps);
    return status;
}

/* Whether the file stands in the checkpoints/ of the directory. */
static bool is_own(const struct settings *settings, const char *path) {
    char folder[DIRECTORY_PATH_BYTES], own[DIRECTORY_PATH_BYTES];
    struct stat a, b;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) : 1,
             slash != NULL ? path : ".");
    return directory_path(settings->run.directory, own, "checkpoints") == STATUS_OK &&
           stat(folder[0] != '\0' ? folder : "/", &a) == 0 && stat(own, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A checkpoint of this run, or of another one whose files stay where they are. */
static enum status choose_picked(const struct settings *settings, struct restart *restart) {
    const char *slash = strrchr(restart->picked, '/');
    const int64_t step = step_name_parse(slash != NULL ? slash + 1 : restart->picked);
    const bool own = is_own(settings, restart->picked);
    if (restart->again && !own)
        return FAIL(STATUS_INPUT,
                    "%s holds a run, and %s is not a checkpoint of it: choose another "
                    "run.directory, or give --fresh as well",
                    settings->run.directory, restart->picked);
    if (restart->fresh && own)
        return FAIL(STATUS_INPUT,
                    "--fresh removes the files of the run in %s, and so %s: leave --fresh out to "
                    "go on from there",
                    settings->run.directory, restart->picked);
    if (step < 0)
        return FAIL(STATUS_INPUT, "%s: a checkpoint is called step-NNNNNN.h5", restart->picked);
    if (snprintf(restart->path, DIRECTORY_PATH_BYTES, "%s", restart->picked) >=
        DIRECTORY_PATH_BYTES)
        return FAIL(STATUS_INPUT, "a path of %zu bytes is too long", strlen(restart->picked));
    restart->step = step;
    return checkpoint_retry(verify, restart->path);
}

/* --- whether the settings let it go on --- */

/* What differs, as far as a sentence goes. */
struct changes {
    struct strbuf refused, allowed;
};

/* As it stands in an input file, with the quotes and backslashes of that. */
static const char *show_value(char out[STATUS_QUOTE_MAX], const char *value) {
    if (value[0] == '\0')
        return "absent";
    printable(out, STATUS_QUOTE_MAX, STATUS_QUOTE_CHARACTERS, "", value, strlen(value));
    return out;
}

static enum status note_change(void *context, const struct settings_difference *difference) {
    struct changes *changes = context;
    struct strbuf *list = difference->may_change ? &changes->allowed : &changes->refused;
    char before[STATUS_QUOTE_MAX], now[STATUS_QUOTE_MAX];
    return strbuf_append_format(list, "%s%s is %s, was %s", list->length > 0 ? "; " : "",
                                difference->name, show_value(now, difference->now),
                                show_value(before, difference->before));
}

static enum status judge(const struct settings *settings, const struct changes *changes) {
    if (changes->refused.length > 0)
        return FAIL(
            STATUS_INPUT,
            "the run in %s began with other settings: %.600s; these may not change%s%.100s: "
            "give them their values back, choose another run.directory, or start over with "
            "--fresh",
            settings->run.directory, strbuf_text(&changes->refused),
            changes->allowed.length > 0 ? ", but this may: " : "", strbuf_text(&changes->allowed));
    if (changes->allowed.length > 0)
        log_info("settings", "other than before: %s", strbuf_text(&changes->allowed));
    return STATUS_OK;
}

static enum status compare(const struct settings *settings, const struct settings *before) {
    struct changes changes = {.refused = STRBUF_EMPTY, .allowed = STRBUF_EMPTY};
    enum status status = settings_compare(before, settings, note_change, &changes);
    if (status == STATUS_OK)
        status = judge(settings, &changes);
    strbuf_release(&changes.refused);
    strbuf_release(&changes.allowed);
    if (status == STATUS_OK && before->run.steps != settings->run.steps &&
        settings->optimizer.schedule != SETTING_SCHEDULE_CONSTANT)
        log_warning("settings",
                    "optimizer.schedule runs over run.steps: from here on the learning rate is "
                    "that of a run of %lld steps, as before it was that of one of %lld",
                    (long long)settings->run.steps, (long long)before->run.steps);
    if (status == STATUS_OK && before->run.steps != settings->run.steps &&
        settings->objective.tau_control == SETTING_TAU_CONTROL_SCHEDULE)
        log_warning("settings",
                    "objective.tau_control = \"schedule\" runs over run.steps: from here on tau is "
                    "that of a run of %lld steps, as before it was that of one of %lld",
                    (long long)settings->run.steps, (long long)before->run.steps);
    return status;
}

/* `text` is a settings.cfg, from the file of that name or from a checkpoint. */
static enum status compare_text(const struct settings *settings, const char *path,
                                const struct strbuf *text) {
    struct settings before;
    TRY(settings_read_text(path, strbuf_text(text), text->length, NULL, 0, SETTINGS_FOR_TRAINING,
                           &before));
    const enum status status = compare(settings, &before);
    settings_release(&before);
    return status;
}

struct settings_text {
    const char *path; /* of a checkpoint */
    struct strbuf *text;
};

static enum status read_checkpoint_settings(void *context) {
    const struct settings_text *from = context;
    struct checkpoint *checkpoint;
    strbuf_clear(from->text);
    TRY(checkpoint_open(&checkpoint, from->path, false));
    const enum status status = checkpoint_settings(checkpoint, from->text);
    checkpoint_close(&checkpoint);
    return status;
}

/* A run without a checkpoint is told by its settings.cfg, which it wrote at its start. */
static enum status check_settings(const struct settings *settings, const struct restart *restart) {
    struct strbuf text = STRBUF_EMPTY;
    char path[DIRECTORY_PATH_BYTES];
    enum status status = STATUS_OK;
    snprintf(path, sizeof path, "%s", restart->path);
    if (restart->path[0] != '\0') {
        struct settings_text from = {.path = path, .text = &text};
        status = checkpoint_retry(read_checkpoint_settings, &from);
    } else {
        TRY(directory_path(settings->run.directory, path, "settings.cfg"));
        if (!bytes_is_file(path))
            return STATUS_OK;
        status = bytes_read_file(path, SETTINGS_BYTES_MAX, &text);
    }
    if (status == STATUS_OK)
        status = compare_text(settings, path, &text);
    strbuf_release(&text);
    if (status == STATUS_OK && restart->step > settings->run.steps)
        status = FAIL(STATUS_INPUT,
                      "run.steps = %lld is less than the %lld steps that %s has behind it: raise "
                      "it, or pick an earlier checkpoint with --restart",
                      (long long)settings->run.steps, (long long)restart->step, restart->path);
    return status;
}

static enum status choose(const struct settings *settings, struct restart *restart) {
    const struct directory_starts starts = {.model = settings->model.path,
                                            .adapter = settings->lora.adapter};
    bool found;
    TRY(directory_check(settings->run.directory, &starts, &found));
    restart->again = found && !restart->fresh;
    if (restart->picked != NULL)
        TRY(choose_picked(settings, restart));
    else if (restart->again)
        TRY(choose_newest(settings, restart));
    return restart->again || restart->path[0] != '\0' ? check_settings(settings, restart)
                                                      : STATUS_OK;
}

enum status restart_choose(const struct settings *settings, struct comm *comm,
                           struct restart *restart) {
    restart->again = false;
    restart->step = 0;
    restart->path[0] = '\0';
    TRY(comm_agree(comm, comm->rank == 0 ? choose(settings, restart) : STATUS_OK));
    TRY(comm_broadcast(comm, &restart->again, sizeof restart->again, 0));
    TRY(comm_broadcast(comm, &restart->step, sizeof restart->step, 0));
    return comm_broadcast(comm, restart->path, sizeof restart->path, 0);
}
