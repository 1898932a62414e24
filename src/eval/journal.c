/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/journal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/json.h"
#include "file/lines.h"

enum { PATH_BYTES = 4200, IDENTITY_BYTES_MAX = 1 << 24 };

#define IDENTITY "identity"
#define TAIL     ", \"crc32\": \"" /* of a line; 8 digits and "} follow */
enum { TAIL_BYTES = sizeof TAIL - 1 + 8 + 2 };

static const char *path_of(char out[PATH_BYTES], const char *folder, const char *name) {
    snprintf(out, PATH_BYTES, "%s/%s", folder, name);
    return out;
}

enum status journal_find(const char *folder, bool *found, struct strbuf *identity) {
    char path[PATH_BYTES];
    *found = bytes_is_directory(folder) && bytes_is_file(path_of(path, folder, IDENTITY));
    return *found ? bytes_read_file(path, IDENTITY_BYTES_MAX, identity) : STATUS_OK;
}

enum status journal_begin(const char *folder, const struct strbuf *identity) {
    char path[PATH_BYTES];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return FAIL(STATUS_IO, "%s: the folder cannot be made: %s", folder, strerror(errno));
    return atomic_write_file(path_of(path, folder, IDENTITY), strbuf_text(identity),
                             (int64_t)identity->length);
}

/* --- writing --- */

static enum status format_entry(const struct evaluation_entry *entry, struct strbuf *line) {
    TRY(strbuf_append_format(line, "{\"set\": \"%s\", \"row\": %lld, \"sample\": %lld, ",
                             entry->set, (long long)entry->row, (long long)entry->sample));
    TRY(strbuf_append_format(line, "\"finish_reason\": %d, \"length\": %lld, \"token_ids\": [",
                             (int)entry->finish, (long long)entry->length));
    for (int64_t i = 0; i < entry->n; i++)
        TRY(strbuf_append_format(line, "%s%d", i > 0 ? "," : "", entry->tokens[i]));
    TRY(strbuf_append_text(line, "]"));
    return strbuf_append_format(line, TAIL "%08x\"}\n", bytes_crc32(line->text, line->length));
}

enum status journal_add(const char *folder, int rank, const struct evaluation_entry *entry) {
    struct strbuf line = STRBUF_EMPTY;
    char name[32], path[PATH_BYTES];
    snprintf(name, sizeof name, "rank-%05d.jsonl", rank);
    enum status status = format_entry(entry, &line);
    if (status == STATUS_OK)
        status = lines_append(path_of(path, folder, name), strbuf_text(&line), line.length);
    strbuf_release(&line);
    return status;
}

/* --- reading --- */

struct reading {
    const char *path;
    enum status (*visit)(void *context, const struct evaluation_entry *entry);
    void *context;
    int32_t *tokens; /* of the line in hand */
    int64_t lines, bad;
};

static bool has_sum(const char *text, size_t length) {
    char sum[9] = "", *end;
    if (length < TAIL_BYTES || memcmp(text + length - TAIL_BYTES, TAIL, sizeof TAIL - 1) != 0)
        return false;
    memcpy(sum, text + length - 10, 8);
    return strtoul(sum, &end, 16) == bytes_crc32(text, length - TAIL_BYTES) && *end == '\0';
}

static enum status read_ids(struct reading *reading, const json_t *ids, int64_t *n) {
    size_t i;
    json_t *value;
    *n = (int64_t)json_array_size(ids);
    memory_release(&reading->tokens);
    TRY(memory_new(&reading->tokens, *n, "answer tokens"));
    json_array_foreach(ids, i, value) {
        reading->tokens[i] = (int32_t)json_integer_value(value);
    }
    return STATUS_OK;
}

static enum status take_value(struct reading *reading, const json_t *value) {
    struct evaluation_entry entry = {.set = NULL};
    int64_t finish;
    TRY(json_get_string(value, reading->path, "set", "", &entry.set));
    TRY(json_get_integer(value, reading->path, "row", -1, &entry.row));
    TRY(json_get_integer(value, reading->path, "sample", -1, &entry.sample));
    TRY(json_get_integer(value, reading->path, "finish_reason", 0, &finish));
    entry.finish = (enum finish_reason)finish;
    TRY(json_get_integer(value, reading->path, "length", 0, &entry.length));
    TRY(read_ids(reading, json_object_get(value, "token_ids"), &entry.n));
    entry.tokens = reading->tokens;
    return reading->visit(reading->context, &entry);
}

static enum status take_line(void *context, int64_t row, const char *text, size_t length) {
    struct reading *reading = context;
    json_t *value = NULL;
    if (length == 0)
        return STATUS_OK;
    reading->lines++;
    if (!has_sum(text, length)) {
        reading->bad++;
        return STATUS_OK;
    }
    TRY(json_parse(text, length, reading->path, (long)row + 1, &value));
    const enum status status = take_value(reading, value);
    json_decref(value);
    return status;
}

static enum status read_file(struct reading *reading) {
    reading->lines = reading->bad = 0;
    const enum status status = lines_read_file(reading->path, take_line, reading);
    memory_release(&reading->tokens);
    if (status == STATUS_OK && reading->bad > 0)
        log_warning("eval",
                    "%s: %lld of %lld lines are unfinished or damaged: those samples are "
                    "drawn again",
                    reading->path, (long long)reading->bad, (long long)reading->lines);
    return status;
}

static bool is_of_rank(const char *name) {
    int rank, end = 0;
    return sscanf(name, "rank-%d.jsonl%n", &rank, &end) == 1 && end > 0 && name[end] == '\0';
}

/* Each file of a rank in the folder. */
static enum status each_file(const char *folder,
                             enum status (*act)(void *context, const char *path), void *context) {
    char path[PATH_BYTES];
    enum status status = STATUS_OK;
    DIR *entries = opendir(folder);
    if (entries == NULL)
        return errno == ENOENT
                   ? STATUS_OK
                   : FAIL(STATUS_IO, "%s: the folder cannot be read: %s", folder, strerror(errno));
    for (const struct dirent *entry; status == STATUS_OK && (entry = readdir(entries)) != NULL;)
        if (is_of_rank(entry->d_name))
            status = act(context, path_of(path, folder, entry->d_name));
    closedir(entries);
    return status;
}

static enum status read_one(void *context, const char *path) {
    struct reading *reading = context;
    reading->path = path;
    return read_file(reading);
}

enum status journal_read(const char *folder,
                         enum status (*visit)(void *context, const struct evaluation_entry *entry),
                         void *context) {
    struct reading reading = {.visit = visit, .context = context};
    return each_file(folder, read_one, &reading);
}

/* --- the end --- */

static enum status remove_one(void *context, const char *path) {
    (void)context;
    return unlink(path) == 0 || errno == ENOENT
               ? STATUS_OK
               : FAIL(STATUS_IO, "%s: it cannot be removed: %s", path, strerror(errno));
}

enum status journal_remove(const char *folder) {
    char path[PATH_BYTES];
    TRY(each_file(folder, remove_one, NULL));
    TRY(remove_one(NULL, path_of(path, folder, IDENTITY)));
    rmdir(folder); /* what else is in it is not ours */
    return STATUS_OK;
}
