/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect_run.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/printable.h"
#include "cli/inspect_prompts.h"
#include "file/bytes.h"
#include "file/json.h"
#include "run/directory.h"
#include "run/metrics.h"

enum { STATUS_BYTES_MAX = 1 << 20, LINE_BYTES_MAX = 1 << 20, SILENT_S = 600 };

bool inspect_is_run(const char *directory) {
    char path[DIRECTORY_PATH_BYTES];
    return directory_path(directory, path, "status.json") == STATUS_OK && bytes_is_file(path);
}

/* --- how it stands --- */

/* Seconds since "2026-11-27T09:58:06Z"; −1 for any other text. Both times are taken for local ones,
 * which leaves their difference. */
static double seconds_since(const char *utc) {
    const time_t now = time(NULL);
    struct tm then = {.tm_isdst = 0}, here;
    if (utc == NULL || sscanf(utc, "%d-%d-%dT%d:%d:%dZ", &then.tm_year, &then.tm_mon, &then.tm_mday,
                              &then.tm_hour, &then.tm_min, &then.tm_sec) != 6)
        return -1.0;
    then.tm_year -= 1900;
    then.tm_mon -= 1;
    gmtime_r(&now, &here);
    return difftime(mktime(&here), mktime(&then));
}

/* Whether the process that wrote the status is known to be gone, which only its own host can say. */
static bool process_is_gone(const char *host, int64_t pid) {
    char here[256] = "";
    gethostname(here, sizeof here - 1);
    return host != NULL && pid > 0 && strcmp(host, here) == 0 && kill((pid_t)pid, 0) != 0 &&
           errno == ESRCH;
}

/* What a run that calls itself running is really doing. `*gone`: its process is known to have ended. */
static enum status append_life(const json_t *status, const char *path, struct strbuf *out,
                               bool *gone) {
    const char *host, *last, *verdict;
    char host_quoted[STATUS_QUOTE_MAX];
    int64_t pid;
    TRY(json_get_string(status, path, "host", NULL, &host));
    TRY(json_get_string(status, path, "time", NULL, &last));
    TRY(json_get_integer(status, path, "pid", 0, &pid));
    const double silent_s = seconds_since(last);
    *gone = process_is_gone(host, pid);
    if (*gone)
        verdict = "dead: its process is gone, without a last word";
    else if (silent_s > SILENT_S)
        verdict = "dead or stuck: it should have spoken by now";
    else
        verdict = "alive";
    TRY(strbuf_append_format(out, "  %-12s %s", "alive", verdict));
    if (silent_s >= 0.0)
        TRY(strbuf_append_format(out, "; last word %.0f s ago", silent_s));
    if (host != NULL)
        TRY(strbuf_append_format(out, "; process %lld on %s", (long long)pid,
                                 status_quote(host_quoted, host, SIZE_MAX)));
    return strbuf_append_text(out, "\n");
}

/* A field of status.json that is a text, on a line of its own; nothing where there is none. */
static enum status append_field(const json_t *status, const char *path, const char *name,
                                struct strbuf *out) {
    const char *text;
    char shown[2 * STATUS_SENTENCE_MAX]; /* they hold paths, and are to be read to the end */
    TRY(json_get_string(status, path, name, NULL, &text));
    if (text == NULL || text[0] == '\0')
        return STATUS_OK;
    printable(shown, sizeof shown, SIZE_MAX, "", text, strlen(text));
    return strbuf_append_format(out, "  %-12s %s\n", name, shown);
}

static enum status append_status(const json_t *status, const char *path, struct strbuf *out) {
    const char *state;
    char quoted[STATUS_QUOTE_MAX];
    int64_t step, steps, exit_status, attempt;
    bool gone = false;
    TRY(json_get_string(status, path, "state", "unknown", &state));
    TRY(json_get_integer(status, path, "step", 0, &step));
    TRY(json_get_integer(status, path, "steps", 0, &steps));
    TRY(json_get_integer(status, path, "exit", -1, &exit_status));
    TRY(json_get_integer(status, path, "attempt", 1, &attempt));
    TRY(strbuf_append_format(out, "run: %s, step %lld of %lld",
                             status_quote(quoted, state, SIZE_MAX), (long long)step,
                             (long long)steps));
    if (exit_status >= 0)
        TRY(strbuf_append_format(out, ", exit status %lld", (long long)exit_status));
    if (attempt > 1)
        TRY(strbuf_append_format(out, ", attempt %lld", (long long)attempt));
    TRY(strbuf_append_text(out, "\n"));
    if (strcmp(state, "running") == 0)
        TRY(append_life(status, path, out, &gone));
    TRY(append_field(status, path, "error", out));
    if (gone) /* it could not say so itself */
        TRY(strbuf_append_format(out, "  %-12s continue\n", "next"));
    else
        TRY(append_field(status, path, "next", out));
    return append_field(status, path, "advice", out);
}

/* --- its last step --- */

/* The last whole line of a file of lines; an unfinished one behind it does not count. */
static enum status read_last_line(const char *path, struct strbuf *out) {
    int64_t size;
    int file;
    char *tail;
    TRY(bytes_open_file(path, &file, &size));
    const int64_t n = size < LINE_BYTES_MAX ? size : LINE_BYTES_MAX;
    enum status status = memory_new(&tail, n + 1, "last line");
    if (status == STATUS_OK)
        status = bytes_read_at(file, path, size - n, tail, n);
    close(file);
    int64_t end = n, begin;
    while (status == STATUS_OK && end > 0 && tail[end - 1] != '\n')
        end--;
    for (begin = end > 0 ? end - 1 : 0; begin > 0 && tail[begin - 1] != '\n'; begin--)
        ;
    if (status == STATUS_OK && end > begin)
        status = strbuf_append(out, tail + begin, (size_t)(end - 1 - begin));
    memory_release(&tail);
    return status;
}

/* A metric of the step; one of each pass as it was in the last pass. NaN where there is none. */
static double last_value(const json_t *line, const struct metric_info *metric) {
    const json_t *passes = json_object_get(json_object_get(line, "pass"), metric->path);
    const json_t *value = json_array_size(passes) > 0
                              ? json_array_get(passes, json_array_size(passes) - 1)
                              : json_object_get(line, metric->path);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static enum status append_metrics(const json_t *line, struct strbuf *out) {
    const int64_t step = json_integer_value(json_object_get(line, "step"));
    TRY(strbuf_append_format(
        out, "step %lld (per pass: the last one; means over passes are in diagnostics.h5)\n",
        (long long)step));
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const double value = last_value(line, &metric_table[metric]);
        if (!isnan(value))
            TRY(strbuf_append_format(out, "  %-36s %13.6g  %s\n", metric_table[metric].path, value,
                                     metric_table[metric].unit));
    }
    return STATUS_OK;
}

static enum status append_last_step(const char *directory, struct strbuf *out) {
    char path[DIRECTORY_PATH_BYTES];
    struct strbuf text = STRBUF_EMPTY;
    json_t *line = NULL;
    TRY(directory_path(directory, path, "metrics.jsonl"));
    if (!bytes_is_file(path))
        return STATUS_OK;
    enum status status = read_last_line(path, &text);
    if (status == STATUS_OK && text.length > 0)
        status = json_parse(strbuf_text(&text), text.length, path, 0, &line);
    if (status == STATUS_OK && line != NULL)
        status = append_metrics(line, out);
    json_decref(line);
    strbuf_release(&text);
    return status;
}

/* --- its files --- */

/* What lies in a folder: files and bytes, the first and last name by the alphabet. */
struct folder {
    int64_t files;
    double bytes;
    char first[256], last[256];
};

static void note_entry(struct folder *folder, const char *name, double bytes) {
    if (folder->files == 0 || strcmp(name, folder->first) < 0)
        snprintf(folder->first, sizeof folder->first, "%s", name);
    if (folder->files == 0 || strcmp(name, folder->last) > 0)
        snprintf(folder->last, sizeof folder->last, "%s", name);
    folder->files++;
    folder->bytes += bytes;
}

static void read_folder(const char *path, struct folder *folder) {
    DIR *stream = opendir(path);
    *folder = (struct folder){.files = 0};
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        struct stat info;
        if (fstatat(dirfd(stream), entry->d_name, &info, 0) == 0 && S_ISREG(info.st_mode))
            note_entry(folder, entry->d_name, (double)info.st_size);
    }
    if (stream != NULL)
        closedir(stream);
}

static enum status append_size(const char *name, double bytes, struct strbuf *out) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; bytes >= 1000.0 && unit < 4; unit++)
        bytes /= 1000.0;
    return strbuf_append_format(out, "  %-22s %6.4g %s", name, bytes, units[unit]);
}

static enum status append_file(const char *directory, const char *name, struct strbuf *out) {
    char path[DIRECTORY_PATH_BYTES];
    struct folder folder;
    struct stat info;
    TRY(directory_path(directory, path, name));
    if (stat(path, &info) != 0)
        return STATUS_OK;
    if (!S_ISDIR(info.st_mode)) {
        TRY(append_size(name, (double)info.st_size, out));
        return strbuf_append_text(out, "\n");
    }
    read_folder(path, &folder);
    if (folder.files == 0)
        return STATUS_OK;
    TRY(append_size(name, folder.bytes, out));
    return folder.files == 1
               ? strbuf_append_format(out, " in 1 file: %s\n", folder.first)
               : strbuf_append_format(out, " in %lld files: %s to %s\n", (long long)folder.files,
                                      folder.first, folder.last);
}

static enum status append_files(const char *directory, struct strbuf *out) {
    static const char *const names[] = {"settings.cfg",   "log.txt",  "metrics.jsonl",
                                        "diagnostics.h5", "rollouts", "checkpoints",
                                        "model",          "adapter"};
    TRY(strbuf_append_text(out, "files\n"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        TRY(append_file(directory, names[i], out));
    return STATUS_OK;
}

static enum status append_checkpoint(const json_t *status, const char *path, struct strbuf *out) {
    int64_t step;
    TRY(json_get_integer(status, path, "checkpoint_step", 0, &step));
    return step > 0 ? strbuf_append_format(out, "  %-12s newest checkpoints/step-%06lld.h5\n",
                                           "checkpoint", (long long)step)
                    : strbuf_append_format(out, "  %-12s none yet\n", "checkpoint");
}

enum status inspect_run(const char *directory, struct strbuf *out) {
    char path[DIRECTORY_PATH_BYTES];
    json_t *status_json;
    TRY(directory_path(directory, path, "status.json"));
    TRY(json_read_file(path, STATUS_BYTES_MAX, &status_json));
    enum status status = append_status(status_json, path, out);
    if (status == STATUS_OK)
        status = append_checkpoint(status_json, path, out);
    json_decref(status_json);
    TRY(status);
    TRY(append_last_step(directory, out));
    TRY(inspect_prompts(directory, out));
    return append_files(directory, out);
}
