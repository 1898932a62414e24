/* SPDX-License-Identifier: Apache-2.0
 *
 * A source's position is the number of prompts it gave; epoch and place in the epoch follow from
 * it. The order of an epoch is arranged when its first prompt is asked for, in memory that is there
 * from the start.
 */
#include "data/stream.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/order.h"

struct lane {
    struct dataset dataset;
    struct order_entry *entries; /* (kept), arranged for `epoch` */
    int64_t kept, epoch;         /* epoch −1: not arranged yet */
    int64_t too_long;
    int64_t taken;
    double share;
};

struct stream {
    struct lane *lanes;
    int32_t count;
    uint64_t seed;
    bool shuffle;
    int64_t total;
};

static enum status ask(struct lane *lane, const struct stream_options *options, bool skip_bad,
                       int64_t i) {
    const struct dataset_item item = dataset_item(&lane->dataset, i);
    bool kept = true;
    const enum status status = options->keep != NULL
                                   ? options->keep(options->context, &lane->dataset, &item, &kept)
                                   : STATUS_OK;
    if (status == STATUS_INPUT && skip_bad) {
        dataset_pass_over(&lane->dataset);
        return STATUS_OK;
    }
    TRY(status);
    if (kept)
        lane->entries[lane->kept++] = (struct order_entry){.row = item.row, .index = i};
    else
        lane->too_long++;
    return STATUS_OK;
}

static enum status choose_rows(struct lane *lane, const struct stream_options *options,
                               bool skip_bad) {
    const struct dataset *dataset = &lane->dataset;
    const int64_t bad = dataset->bad;
    TRY(memory_new(&lane->entries, dataset->count, "order of prompts"));
    for (int64_t i = 0; i < dataset->count; i++)
        TRY(ask(lane, options, skip_bad, i));
    if (dataset->bad > bad)
        log_info("data", "%s: %lld more rows are bad and left out", dataset->path,
                 (long long)(dataset->bad - bad));
    if (lane->kept == 0 && lane->too_long < dataset->count)
        return FAIL(STATUS_INPUT,
                    "%s: of %lld prompts %lld are bad and %lld are too long: longer %s",
                    dataset->path, (long long)dataset->count, (long long)(dataset->bad - bad),
                    (long long)lane->too_long, options->too_long);
    if (lane->kept == 0)
        return FAIL(STATUS_INPUT, "%s: all %lld prompts are too long: longer %s", dataset->path,
                    (long long)dataset->count, options->too_long);
    if (lane->too_long > 0)
        log_info("data", "%s: %lld of %lld prompts are left out as too long: longer %s",
                 dataset->path, (long long)lane->too_long, (long long)dataset->count,
                 options->too_long);
    return STATUS_OK;
}

static enum status open_lanes(struct stream *stream, const struct stream_source *sources,
                              const struct stream_options *options) {
    double sum = 0.0;
    for (int32_t i = 0; i < stream->count; i++)
        sum += sources[i].weight;
    for (int32_t i = 0; i < stream->count; i++) {
        struct lane *lane = stream->lanes + i;
        if (!(sources[i].weight > 0.0) || !(sources[i].weight / sum > 0.0))
            return FAIL(STATUS_INPUT, "%s: weight = %g is not above 0 and finite",
                        sources[i].data.path, sources[i].weight);
        lane->share = sources[i].weight / sum;
        lane->epoch = -1;
        TRY(dataset_open(&lane->dataset, &sources[i].data));
        TRY(choose_rows(lane, options, sources[i].data.skip_bad));
    }
    return STATUS_OK;
}

enum status stream_create(struct stream **out, const struct stream_source *sources, int32_t count,
                          const struct stream_options *options) {
    ASSERT(count > 0);
    *out = NULL;
    struct stream *stream = NULL;
    TRY(memory_new(&stream, 1, "stream of prompts"));
    stream->seed = options->seed;
    stream->shuffle = options->shuffle;
    enum status status = memory_new(&stream->lanes, count, "stream of prompts");
    stream->count = status == STATUS_OK ? count : 0;
    if (status == STATUS_OK)
        status = open_lanes(stream, sources, options);
    if (status == STATUS_OK)
        *out = stream;
    else
        stream_destroy(&stream);
    return status;
}

void stream_destroy(struct stream **stream) {
    if (*stream == NULL)
        return;
    for (int32_t i = 0; i < (*stream)->count; i++) {
        dataset_close(&(*stream)->lanes[i].dataset);
        memory_release(&(*stream)->lanes[i].entries);
    }
    memory_release(&(*stream)->lanes);
    memory_release(stream);
}

/* The quota method (Balinski and Young, "The quota method of apportionment", 1975): of the sources
 * that are behind their share of the n + 1 prompts, the one whose next prompt is due first; the
 * lower index on a tie. No source is ever a whole prompt off its share; taking the one furthest
 * behind misses that by up to a third with many sources. */
static int32_t choose_source(const struct stream *stream) {
    int32_t best = -1;
    double first = 0.0;
    for (int32_t i = 0; i < stream->count; i++) {
        const struct lane *lane = stream->lanes + i;
        const double due = (double)(lane->taken + 1) / lane->share;
        const bool behind = lane->share * (double)(stream->total + 1) > (double)lane->taken;
        if (behind && (best < 0 || due < first)) {
            best = i;
            first = due;
        }
    }
    ASSERT(best >= 0);
    return best;
}

void stream_next(struct stream *stream, struct stream_item *item) {
    const int32_t source = choose_source(stream);
    struct lane *lane = stream->lanes + source;
    const int64_t epoch = lane->taken / lane->kept;
    if (epoch != lane->epoch) {
        order_arrange(lane->entries, lane->kept, stream->seed, source, epoch, stream->shuffle);
        lane->epoch = epoch;
    }
    const struct order_entry *entry = lane->entries + lane->taken % lane->kept;
    *item = (struct stream_item){.source = source,
                                 .serial = stream->total,
                                 .epoch = epoch,
                                 .data = dataset_item(&lane->dataset, entry->index)};
    lane->taken++;
    stream->total++;
}

int32_t stream_source_count(const struct stream *stream) {
    return stream->count;
}

static const struct lane *lane_of(const struct stream *stream, int32_t source) {
    ASSERT(source >= 0 && source < stream->count);
    return stream->lanes + source;
}

const struct dataset *stream_dataset(const struct stream *stream, int32_t source) {
    return &lane_of(stream, source)->dataset;
}

int64_t stream_kept(const struct stream *stream, int32_t source) {
    return lane_of(stream, source)->kept;
}

double stream_share(const struct stream *stream, int32_t source) {
    return lane_of(stream, source)->share;
}

int64_t stream_left_out(const struct stream *stream, int32_t source) {
    return lane_of(stream, source)->too_long;
}

int64_t stream_position_size(const struct stream *stream) {
    return 1 + stream->count;
}

void stream_position_get(const struct stream *stream, int64_t *values) {
    values[0] = stream->total;
    for (int32_t i = 0; i < stream->count; i++)
        values[1 + i] = stream->lanes[i].taken;
}

enum status stream_position_set(struct stream *stream, const int64_t *values, int64_t n) {
    if (n != stream_position_size(stream))
        return FAIL(
            STATUS_INPUT,
            "the saved data position has %lld numbers, but %d sources need %lld: data.train "
            "is not that of the saved run",
            (long long)n, stream->count, (long long)stream_position_size(stream));
    int64_t left = values[0];
    for (int32_t i = 0; i < stream->count; i++) {
        if (values[1 + i] < 0 || values[1 + i] > left)
            left = -1;
        else
            left -= values[1 + i];
    }
    if (left != 0)
        return FAIL(STATUS_INPUT,
                    "the saved data position is broken: its %lld prompts are not the "
                    "sum of what its sources gave",
                    (long long)values[0]);
    stream->total = values[0];
    for (int32_t i = 0; i < stream->count; i++)
        stream->lanes[i].taken = values[1 + i];
    return STATUS_OK;
}
