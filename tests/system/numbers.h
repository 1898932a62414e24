/* SPDX-License-Identifier: Apache-2.0
 *
 * What the programs beside this file share: they recompute in double, from the files of a run and
 * the settings on their command line, what the run says of itself. Formulas stand here a second
 * time on purpose (design, section 9); nothing of src but the reader of files is used.
 */
#ifndef TESTS_SYSTEM_NUMBERS_H
#define TESTS_SYSTEM_NUMBERS_H

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "file/h5.h"

/* --- settings: "objective.gate=erf" on the command line --- */

static char **setting_words;
static int setting_count;

static inline const char *setting_word(const char *name, const char *otherwise) {
    const size_t length = strlen(name);
    for (int i = setting_count - 1; i >= 0; i--)
        if (strncmp(setting_words[i], name, length) == 0 && setting_words[i][length] == '=')
            return setting_words[i] + length + 1;
    return otherwise;
}

static inline double setting_number(const char *name, double otherwise) {
    const char *word = setting_word(name, NULL);
    return word != NULL ? strtod(word, NULL) : otherwise;
}

static inline bool setting_is(const char *name, const char *otherwise, const char *word) {
    return strcmp(setting_word(name, otherwise), word) == 0;
}

/* --- verdicts --- */

static int differences, comparisons;

/* |have − want| ≤ tolerance, or both are NaN; else a line with both. */
static inline void expect_near(const char *what, double have, double want, double tolerance) {
    comparisons++;
    if (fabs(have - want) <= tolerance || (isnan(have) && isnan(want)))
        return;
    if (++differences <= 20)
        printf("%s = %.12g, recomputed %.12g, tolerance %.2g\n", what, have, want, tolerance);
}

static inline int verdict(void) {
    if (comparisons == 0)
        printf("nothing was compared\n");
    if (differences > 0)
        printf("%d of %d numbers differ\n", differences, comparisons);
    return differences > 0 || comparisons == 0;
}

/* --- datasets --- */

static inline void require(enum status status) {
    if (status == STATUS_OK)
        return;
    printf("%s\n", status_sentence());
    exit(1);
}

static inline struct h5 *open_file(const char *path) {
    struct h5 *h5;
    require(h5_open(&h5, path));
    return h5;
}

/* A dataset of numbers as doubles; the caller frees them. */
struct list {
    double *at;
    int64_t n;
    int rank;
};

static inline double element(const void *bytes, enum h5_kind kind, int64_t i) {
    switch (kind) {
    case H5_KIND_U8:
        return ((const uint8_t *)bytes)[i];
    case H5_KIND_I32:
        return ((const int32_t *)bytes)[i];
    case H5_KIND_I64:
        return (double)((const int64_t *)bytes)[i];
    case H5_KIND_F32:
        return (double)((const float *)bytes)[i];
    case H5_KIND_F64:
        break;
    }
    return ((const double *)bytes)[i];
}

static inline struct list read_list(const struct h5 *h5, const char *path) {
    struct h5_shape shape;
    char *bytes;
    struct list list;
    require(h5_shape(h5, path, &shape));
    require(memory_new(&bytes, shape.elements * h5_kind_bytes(shape.kind) + 1, path));
    require(
        h5_get(h5, path, shape.kind, 0, shape.rank == 2 ? shape.sizes[0] : shape.elements, bytes));
    require(memory_new(&list.at, shape.elements + 1, path));
    list.n = shape.elements;
    list.rank = shape.rank;
    for (int64_t i = 0; i < list.n; i++)
        list.at[i] = element(bytes, shape.kind, i);
    memory_release(&bytes);
    return list;
}

static inline void list_free(struct list *list) {
    memory_release(&list->at);
}

/* One number of a dataset (steps) or (steps, passes). */
static inline double read_one(const struct h5 *h5, const char *path, int64_t row, int64_t column) {
    struct h5_shape shape;
    struct list list = read_list(h5, path);
    require(h5_shape(h5, path, &shape));
    const double value = list.at[row * (shape.rank == 2 ? shape.sizes[1] : 1) + column];
    list_free(&list);
    return value;
}

#endif
