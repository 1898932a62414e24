/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompts of a run, one after another without end, from one source or a mixture. Weights set
 * the shares: of the first n prompts each source has given weight / (sum of weights) · n, to less
 * than one prompt, for every n and without random numbers. Each source has its own epochs and gives
 * each of its prompts once in an epoch. The n-th prompt depends on the sources and the seed alone;
 * every rank holds the same stream.
 */
#ifndef DATA_STREAM_H
#define DATA_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/dataset.h"

struct stream;

struct stream_source {
    struct dataset_source data;
    double weight; /* above 0; shares are weight / sum of weights */
};

struct stream_options {
    uint64_t seed;
    bool shuffle; /* false: in the order of the file */
    /* Whether a prompt takes part; asked once for each when the stream is made. NULL: all do. In
     * practice prompt_is_short of data/prompt.h; what it refuses is counted as too long, a
     * STATUS_INPUT of it as a bad row where the source skips these. */
    enum status (*keep)(void *context, const struct dataset *dataset,
                        const struct dataset_item *item, bool *kept);
    void *context;
    const char *too_long; /* than what, and what to do: "than prompt.max_tokens = 8: raise it" */
};

struct stream_item {
    int32_t source;           /* index into the sources */
    int64_t serial;           /* prompts given before this one */
    int64_t epoch;            /* of its source, from 0 */
    struct dataset_item data; /* row and texts, alive as long as the stream */
};

/* Reads the sources (count ≥ 1). Fails as dataset_open and `keep` do, and where a source keeps no
 * prompt. The caller destroys *stream. */
enum status stream_create(struct stream **stream, const struct stream_source *sources,
                          int32_t count, const struct stream_options *options) MUST_USE;
void stream_destroy(struct stream **stream);

/* Gives the next prompt. */
void stream_next(struct stream *stream, struct stream_item *item);

/* Sources; the file behind one; its prompts that take part, and those left out as too long. */
int32_t stream_source_count(const struct stream *stream);
const struct dataset *stream_dataset(const struct stream *stream, int32_t source);
int64_t stream_kept(const struct stream *stream, int32_t source);
double stream_share(const struct stream *stream, int32_t source); /* of all prompts */
int64_t stream_left_out(const struct stream *stream, int32_t source);

/* Where the stream stands: stream_position_size integers that continue it exactly in a stream of
 * the same sources and seed. values[0] is the number of prompts given, values[1 + i] how many of
 * them source i gave. */
int64_t stream_position_size(const struct stream *stream);
void stream_position_get(const struct stream *stream, int64_t *values);

/* STATUS_INPUT when the values are not a position of such a stream. */
enum status stream_position_set(struct stream *stream, const int64_t *values, int64_t n) MUST_USE;

#endif
