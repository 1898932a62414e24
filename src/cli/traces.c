/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/traces.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/memory.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "file/h5.h"
#include "run/directory.h"
#include "run/step_name.h"

/* A rollout file, as far as rows need it. */
struct segment {
    const char *run;
    int64_t step;
    int64_t groups, answers;
    int32_t *sources, *group;
    int64_t *rows, *epochs;
    uint8_t *finish;
    double *reward; /* NULL: the run had none */
    struct texts {
        uint8_t *bytes;
        int64_t *offsets, count;
    } prompts, references, texts;
};

static enum status read_texts(const struct h5 *h5, const char *path, const char *offsets,
                              int64_t expected, struct texts *out) {
    int64_t bytes;
    TRY(h5_get_list(h5, path, H5_KIND_U8, &out->bytes, &bytes));
    TRY(h5_get_list(h5, offsets, H5_KIND_I64, &out->offsets, &out->count));
    bool good = out->count == expected + 1 && out->offsets[0] == 0;
    for (int64_t i = 0; good && i < expected; i++)
        good = out->offsets[i + 1] >= out->offsets[i] && out->offsets[i + 1] <= bytes;
    return good ? STATUS_OK : FAIL(STATUS_INPUT, "%s does not fit the file", offsets);
}

static struct utf8_span text_of(const struct texts *texts, int64_t i) {
    return (struct utf8_span){(const char *)texts->bytes + texts->offsets[i],
                              (size_t)(texts->offsets[i + 1] - texts->offsets[i])};
}

static enum status check_counts(const struct segment *s, int64_t rows, int64_t epochs,
                                int64_t finishes, int64_t rewards) {
    bool good = rows == s->groups && epochs == s->groups && finishes == s->answers &&
                (s->reward == NULL || rewards == s->answers);
    for (int64_t i = 0; good && i < s->answers; i++)
        good = s->group[i] >= 0 && s->group[i] < s->groups;
    return good ? STATUS_OK : FAIL(STATUS_INPUT, "lists of prompts and answers do not fit");
}

static enum status read_segment(const struct h5 *h5, struct segment *s) {
    int64_t rows, epochs, finishes, rewards = 0;
    TRY(h5_get_list(h5, "/prompt/source", H5_KIND_I32, &s->sources, &s->groups));
    TRY(h5_get_list(h5, "/prompt/row", H5_KIND_I64, &s->rows, &rows));
    TRY(h5_get_list(h5, "/prompt/epoch", H5_KIND_I64, &s->epochs, &epochs));
    TRY(h5_get_list(h5, "/answer/group", H5_KIND_I32, &s->group, &s->answers));
    TRY(h5_get_list(h5, "/answer/finish_reason", H5_KIND_U8, &s->finish, &finishes));
    if (h5_has(h5, "/answer/reward"))
        TRY(h5_get_list(h5, "/answer/reward", H5_KIND_F64, &s->reward, &rewards));
    TRY(check_counts(s, rows, epochs, finishes, rewards));
    TRY(read_texts(h5, "/prompt/text", "/prompt/text_offsets", s->groups, &s->prompts));
    TRY(read_texts(h5, "/prompt/reference", "/prompt/reference_offsets", s->groups,
                   &s->references));
    return read_texts(h5, "/answer/text", "/answer/text_offsets", s->answers, &s->texts);
}

static void release_segment(struct segment *s) {
    struct texts *const texts[] = {&s->prompts, &s->references, &s->texts};
    for (int i = 0; i < 3; i++) {
        memory_release(&texts[i]->bytes);
        memory_release(&texts[i]->offsets);
    }
    memory_release(&s->sources);
    memory_release(&s->rows);
    memory_release(&s->epochs);
    memory_release(&s->group);
    memory_release(&s->finish);
    memory_release(&s->reward);
}

/* --- the set of rows that were written --- */

static uint64_t hash_of(struct utf8_span prompt, struct utf8_span response) {
    struct sha256 hash;
    unsigned char digest[32];
    uint64_t word;
    sha256_init(&hash);
    sha256_update(&hash, &prompt.length, sizeof prompt.length);
    sha256_update(&hash, prompt.text, prompt.length);
    sha256_update(&hash, response.text, response.length);
    sha256_finish(&hash, digest);
    memcpy(&word, digest, sizeof word);
    return word != 0 ? word : 1;
}

/* Puts a hash into its place; false where it was there. */
static bool put(uint64_t *seen, int64_t capacity, uint64_t hash) {
    int64_t at = (int64_t)(hash & (uint64_t)(capacity - 1));
    for (; seen[at] != 0; at = (at + 1) & (capacity - 1))
        if (seen[at] == hash)
            return false;
    seen[at] = hash;
    return true;
}

static enum status make_room(struct traces *traces) {
    uint64_t *larger;
    const int64_t capacity = traces->capacity > 0 ? 2 * traces->capacity : 1024;
    if (2 * (traces->written + 1) <= traces->capacity)
        return STATUS_OK;
    TRY(memory_new(&larger, capacity, "rows that were written"));
    for (int64_t i = 0; i < traces->capacity; i++)
        if (traces->seen[i] != 0)
            (void)put(larger, capacity, traces->seen[i]);
    memory_release(&traces->seen);
    traces->seen = larger;
    traces->capacity = capacity;
    return STATUS_OK;
}

/* --- rows --- */

/* Bytes of the answer up to the end of its reasoning; 0: it has none that ends. */
static size_t reasoning_of(struct utf8_span text, const char *close) {
    const size_t n = strlen(close);
    for (size_t at = text.length + 1; at-- > 0;)
        if (text.length - at >= n && memcmp(text.text + at, close, n) == 0)
            return at + n;
    return 0;
}

static json_t *json_text(struct utf8_span text) {
    return json_stringn(text.text, text.length);
}

static enum status append_row(struct traces *traces, const struct segment *s, int64_t i,
                              struct utf8_span response, size_t reasoning) {
    static const char *const finishes[] = {"stop", "length", "stop_text", "forced"};
    const int64_t g = s->group[i];
    json_t *row = json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:I, s:i, s:I, s:I, s:I}", "prompt",
                            json_text(text_of(&s->prompts, g)), "response", json_text(response),
                            "reasoning", json_text((struct utf8_span){response.text, reasoning}),
                            "reference", json_text(text_of(&s->references, g)), "finish_reason",
                            finishes[s->finish[i] & 3], "run", s->run, "step", (json_int_t)s->step,
                            "source", (int)s->sources[g], "row", (json_int_t)s->rows[g], "epoch",
                            (json_int_t)s->epochs[g], "answer", (json_int_t)i);
    if (row != NULL && s->reward != NULL)
        json_object_set_new(row, "reward", json_real(s->reward[i]));
    char *line = row != NULL ? json_dumps(row, JSON_COMPACT) : NULL;
    json_decref(row);
    if (line == NULL)
        return FAIL(STATUS_INPUT, "answer %lld cannot be written as JSON", (long long)i);
    const enum status status = strbuf_append_format(&traces->output, "%s\n", line);
    free(line);
    return status;
}

/* Writes the row unless it was written before. */
static enum status take_row(struct traces *traces, const struct segment *s, int64_t i,
                            struct utf8_span response, size_t reasoning) {
    TRY(make_room(traces));
    if (!put(traces->seen, traces->capacity,
             hash_of(text_of(&s->prompts, s->group[i]), response))) {
        traces->again++;
        return STATUS_OK;
    }
    traces->written++;
    return append_row(traces, s, i, response, reasoning);
}

/* The answer's reasoning, and the reference behind it. */
static enum status take_reference(struct traces *traces, const struct segment *s, int64_t i,
                                  size_t reasoning) {
    const struct utf8_span text = text_of(&s->texts, i), end = text_of(&s->references, s->group[i]);
    struct strbuf response = STRBUF_EMPTY;
    enum status status = strbuf_append(&response, text.text, reasoning);
    if (status == STATUS_OK)
        status = strbuf_append(&response, end.text, end.length);
    if (status == STATUS_OK)
        status = take_row(traces, s, i, (struct utf8_span){strbuf_text(&response), response.length},
                          reasoning);
    strbuf_release(&response);
    return status;
}

static enum status take_answer(struct traces *traces, const struct segment *s, int64_t i) {
    const struct utf8_span text = text_of(&s->texts, i);
    const size_t reasoning = reasoning_of(text, traces->settings.think_close);
    traces->answers++;
    if (s->reward != NULL && !(s->reward[i] >= traces->settings.least_reward)) {
        traces->poor++;
        return STATUS_OK;
    }
    if (!traces->settings.reference)
        return take_row(traces, s, i, text, reasoning);
    if (reasoning == 0) {
        traces->open++;
        return STATUS_OK;
    }
    return take_reference(traces, s, i, reasoning);
}

static enum status add_segment(struct traces *traces, const char *path, const char *run,
                               int64_t step) {
    struct segment segment = {.run = run, .step = step};
    struct h5 *h5;
    TRY(h5_open(&h5, path));
    enum status status = read_segment(h5, &segment);
    (void)h5_close(&h5); /* opened for reading: nothing can be lost */
    for (int64_t i = 0; status == STATUS_OK && i < segment.answers; i++)
        status = take_answer(traces, &segment, i);
    release_segment(&segment);
    char sentence[STATUS_SENTENCE_MAX / 2];
    if (status != STATUS_INPUT)
        return status;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    return FAIL(STATUS_INPUT, "%s: %s", path, sentence);
}

/* --- the files of a run, in the order of steps --- */

struct steps {
    int64_t *items, count;
};

static int compare(const void *a, const void *b) {
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static enum status list_steps(const char *folder, struct steps *out) {
    DIR *stream = opendir(folder);
    enum status status = STATUS_OK;
    for (const struct dirent *entry;
         stream != NULL && status == STATUS_OK && (entry = readdir(stream)) != NULL;) {
        const int64_t step = step_name_parse(entry->d_name);
        if (step < 0)
            continue;
        status = memory_grow(&out->items, out->count + 1, "steps");
        if (status == STATUS_OK)
            out->items[out->count++] = step;
    }
    if (stream != NULL)
        closedir(stream);
    if (out->count > 0)
        qsort(out->items, (size_t)out->count, sizeof *out->items, compare);
    return status;
}

enum status traces_add_run(struct traces *traces, const char *directory) {
    char folder[DIRECTORY_PATH_BYTES], path[DIRECTORY_PATH_BYTES], name[STEP_NAME_BYTES];
    struct steps steps = {.count = 0};
    TRY(directory_path(directory, folder, "rollouts"));
    enum status status = list_steps(folder, &steps);
    if (status == STATUS_OK && steps.count == 0)
        status = FAIL(STATUS_INPUT,
                      "%s holds no rollout files: name the run.directory of a run whose "
                      "output.rollouts_every is not 0",
                      folder);
    for (int64_t i = 0; i < steps.count && status == STATUS_OK; i++) {
        status = directory_path(folder, path, step_name(name, steps.items[i]));
        if (status == STATUS_OK)
            status = add_segment(traces, path, directory, steps.items[i]);
    }
    memory_release(&steps.items);
    return status;
}

void traces_release(struct traces *traces) {
    strbuf_release(&traces->output);
    memory_release(&traces->seen);
}
