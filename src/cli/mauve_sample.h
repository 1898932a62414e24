/* SPDX-License-Identifier: Apache-2.0
 *
 * A sample of gradus mauve: what stands in one of its two files.
 */
#ifndef CLI_MAUVE_SAMPLE_H
#define CLI_MAUVE_SAMPLE_H

#include "file/h5.h"
#include "mauve/features.h"

enum mauve_sample_kind { MAUVE_TEXTS, MAUVE_FEATURES, MAUVE_LABELS };

struct mauve_sample {
    const char *path;
    const char *field;           /* of a line, that holds its text */
    int64_t limit;               /* of its texts, 0: all */
    struct tokenizer *tokenizer; /* borrowed; needed for texts */
    int64_t most_tokens;         /* where a text is cut */
    enum mauve_sample_kind kind; /* found by mauve_sample_kind_of */
    int64_t n;                   /* texts, features or labels */
    struct feature_texts texts;
    float *features; /* (n, d); of texts once they are computed, on rank 0 */
    int64_t d;
    int64_t *labels; /* (n) */
};

/* What the file holds: HDF5 with /labels or /features, or else lines of JSON. */
enum status mauve_sample_kind_of(struct mauve_sample *sample) MUST_USE;

/* Reads it; STATUS_INPUT where nothing is in it. */
enum status mauve_sample_read(struct mauve_sample *sample) MUST_USE;
void mauve_sample_release(struct mauve_sample *sample);

/* Writes the features as a file that is a sample again. */
enum status mauve_sample_write(const struct mauve_sample *sample, const char *path,
                               int threads) MUST_USE;

#endif
