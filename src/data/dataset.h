/* SPDX-License-Identifier: Apache-2.0
 *
 * Prompts and reference answers of one JSON-lines file, in the order of the file; or a plain text,
 * which is one row.
 */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "data/conversation.h"

/* One row. Texts are UTF-8, in which a zero is a character like any other, terminated, and live as
 * long as the dataset. */
struct dataset_item {
    int64_t row; /* 0-based line of the file */
    const char *prompt, *reference;
    size_t prompt_length, reference_length;
    const char *solution; /* "" where the source asks for none */
    size_t solution_length;
    struct conversation conversation; /* of a row with messages, whose prompt is empty */
};

/* Where they come from; texts are borrowed during dataset_open. */
struct dataset_source {
    const char *path;
    bool plain;           /* the file is a text, which is the prompt of the only row */
    const char *prompt;   /* field, a text; not looked at where there are messages */
    const char *messages; /* field, a conversation (data/conversation.h); NULL or "": none */
    /* field, a text or a number; NULL or "": references are empty, with messages the content of an
     * assistant's turn at the end */
    const char *answer;
    const char *where; /* takes the rows for which it holds (data/filter.h); NULL or "": all */
    /* The reference is what follows its last occurrence in the answer, without white space
     * around; NULL or "": the whole field as it is */
    const char *answer_after;
    /* field, a text or a number; "": the whole answer, before answer_after; NULL: none */
    const char *solution;
    bool skip_bad; /* a row that cannot be used is left out and counted; else it is a failure */
    /* Tokens of a row as the model reads it, for `tokens` in `where`; NULL: cannot be told. */
    enum status (*count_tokens)(void *context, const struct dataset_item *item, int64_t *tokens);
    void *context;
};

struct dataset_entry; /* where a row's texts stand */

struct dataset { /* read only for others */
    char *path;
    char sha256[65]; /* of the whole file, in hexadecimal */
    int64_t lines;   /* rows of the file that hold a value */
    int64_t count;   /* rows taken */
    int64_t bad;     /* rows left out because they could not be used */
    /* taken rows whose answer lacks answer_after: their reference is the whole answer, trimmed */
    int64_t unmarked;
    int64_t
        empty; /* taken rows whose answer is asked for and white space alone: that is warned of */
    struct dataset_entry *entries;
    int64_t capacity;
    struct strbuf text;
    struct turn_list turns; /* of all conversations */
};

/* Reads the file. A number as an answer becomes the text that Python's str gives. STATUS_INPUT with
 * one sentence, with file and line where there is one: file missing or of another kind, a line not a
 * JSON object, a field missing or of another type, an empty solution, broken UTF-8, a mistake in
 * `where`, no row taken, answer_after in no row. What stands in fields that are not asked for does
 * not matter. *dataset is empty then. */
enum status dataset_open(struct dataset *dataset, const struct dataset_source *source) MUST_USE;
/* Puts the place of a row, "file:line: ", before the kept sentence of a STATUS_INPUT; returns
 * `status`. */
enum status dataset_place(enum status status, const char *path, int64_t row);

/* Counts a row that failed as bad: the first three are named in the log by their sentence, which is
 * forgotten. */
void dataset_pass_over(struct dataset *dataset);

void dataset_close(struct dataset *dataset);

/* Appends the reference of one row (0-based) of another file, by the source's names of fields alone;
 * fails as dataset_open does. */
enum status dataset_reference(const struct dataset_source *source, int64_t row, const json_t *value,
                              struct strbuf *out) MUST_USE;

/* The i-th row taken, 0 ≤ i < count. */
struct dataset_item dataset_item(const struct dataset *dataset, int64_t i);

#endif
