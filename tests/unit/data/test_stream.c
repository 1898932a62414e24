/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream gives each prompt once in an epoch of its source, keeps the shares of a mixture, and
 * continues from a saved position as if it had never stopped.
 */
#include "scratch.h"

#include "base/memory.h"
#include "data/stream.h"

static const char *program;

/* The source "a5": five rows, a0 … a4; their answers are the line's number. */
static struct stream_source make_source(char name, int rows, double weight, char *path,
                                        size_t size) {
    char text[4096], suffix[] = "x.jsonl";
    size_t used = 0;
    for (int i = 0; i < rows; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "{\"q\": \"%c%d\", \"n\": %d}\n",
                                 name, i, i);
    suffix[0] = name;
    snprintf(path, size, "%s", scratch_write(program, suffix, text, used));
    return (struct stream_source){.data = {.path = path, .prompt = "q", .answer = "n"},
                                  .weight = weight};
}

enum { SOURCES_MAX = 8 };

/* A stream over sources of these sizes and weights. */
static struct stream *open_stream(int count, const int *rows, const double *weights, bool shuffle) {
    static char paths[SOURCES_MAX][4096];
    struct stream_source sources[SOURCES_MAX];
    for (int i = 0; i < count; i++)
        sources[i] = make_source((char)('a' + i), rows[i], weights[i], paths[i], sizeof paths[i]);
    struct stream *stream;
    CHECK_OK(stream_create(&stream, sources, count,
                           &(struct stream_options){.seed = 5, .shuffle = shuffle}));
    return stream;
}

static void check_one_source(void) {
    struct stream *stream = open_stream(1, (int[]){20}, (double[]){3.0}, true);
    int64_t previous[20] = {0}, same = 0;
    for (int64_t epoch = 0; epoch < 10; epoch++) {
        int seen[20] = {0};
        for (int i = 0; i < 20; i++) {
            struct stream_item item;
            char want[8];
            stream_next(stream, &item);
            snprintf(want, sizeof want, "a%lld", (long long)item.data.row);
            CHECK_TEXT(item.data.prompt, want);
            CHECK_TEXT(item.data.reference, want + 1);
            CHECK_EQ(item.epoch, epoch);
            CHECK_EQ(item.serial, 20 * epoch + i);
            seen[item.data.row]++;
            same += epoch > 0 && previous[i] == item.data.row;
            previous[i] = item.data.row;
        }
        for (int i = 0; i < 20; i++)
            CHECK_EQ(seen[i], 1);
    }
    CHECK(same < 30); /* about one of 20 places by chance in each of 9 epochs */
    stream_destroy(&stream);
    stream_destroy(&stream);
}

static void check_file_order(void) {
    struct stream *stream = open_stream(1, (int[]){7}, (double[]){1.0}, false);
    for (int i = 0; i < 30; i++) {
        struct stream_item item;
        stream_next(stream, &item);
        CHECK_EQ(item.data.row, i % 7);
    }
    stream_destroy(&stream);
}

/* After every prompt each source has given its share up to rounding, whatever the weights; a small
 * source begins again before a large one ends, each prompt once in each of its epochs. */
static void check_mixture(int count, const int *rows, const double *weights) {
    struct stream *stream = open_stream(count, rows, weights, true);
    int64_t taken[SOURCES_MAX] = {0}, seen[SOURCES_MAX][100] = {{0}};
    double sum = 0.0, worst = 0.0;
    for (int i = 0; i < count; i++)
        sum += weights[i];
    for (int64_t n = 1; n <= 5000; n++) {
        struct stream_item item;
        stream_next(stream, &item);
        const int32_t s = item.source;
        CHECK_EQ(item.data.prompt[0], 'a' + s);
        CHECK_EQ(item.epoch, taken[s] / rows[s]);
        taken[s]++;
        CHECK_EQ(++seen[s][item.data.row], item.epoch + 1);
        for (int i = 0; i < count; i++)
            worst = fmax(worst, fabs((double)taken[i] - weights[i] / sum * (double)n));
    }
    CHECK(taken[0] > rows[0]);
    if (!(worst < 1.0))
        CHECK_FAILED("%d sources: a share is missed by %.3f prompts, expected below 1", count,
                     worst);
    stream_destroy(&stream);
}

static void check_ties(void) {
    struct stream *stream = open_stream(3, (int[]){2, 2, 2}, (double[]){1.0, 1.0, 1.0}, true);
    for (int i = 0; i < 60; i++) {
        struct stream_item item;
        stream_next(stream, &item);
        CHECK_EQ(item.source, i % 3);
    }
    stream_destroy(&stream);
}

/* Stopping anywhere and going on elsewhere changes nothing. */
static void check_position(void) {
    static const int rows[] = {3, 11, 6};
    static const double weights[] = {0.2, 1.0, 0.45};
    struct stream *whole = open_stream(3, rows, weights, true);
    struct stream *part = open_stream(3, rows, weights, true);
    int64_t position[4], again[4];
    CHECK_EQ(stream_position_size(whole), 4);
    for (int n = 0; n < 200; n++) {
        struct stream_item a, b;
        stream_position_get(whole, position);
        CHECK_EQ(position[0], n);
        CHECK_OK(stream_position_set(part, position, 4));
        stream_position_get(part, again);
        CHECK(memcmp(position, again, sizeof position) == 0);
        stream_next(whole, &a);
        stream_next(part, &b);
        CHECK_EQ(a.source, b.source);
        CHECK_EQ(a.data.row, b.data.row);
        CHECK_EQ(a.epoch, b.epoch);
        CHECK_EQ(a.serial, b.serial);
        CHECK_TEXT(a.data.prompt, b.data.prompt);
        for (int skip = 0; skip < n % 7; skip++) /* lead the other astray before it is set again */
            stream_next(part, &b);
    }
    CHECK_STATUS(stream_position_set(part, position, 3), STATUS_INPUT, "3 sources need 4");
    position[1]++;
    CHECK_STATUS(stream_position_set(part, position, 4), STATUS_INPUT, "position is broken");
    position[1] = -1;
    CHECK_STATUS(stream_position_set(part, position, 4), STATUS_INPUT, "position is broken");
    CHECK_STATUS(stream_position_set(part, (int64_t[]){INT64_MIN, INT64_MIN, 0, 0}, 4),
                 STATUS_INPUT, "position is broken");
    CHECK_STATUS(stream_position_set(part, (int64_t[]){-1, 0, 0, 0}, 4), STATUS_INPUT,
                 "position is broken");
    stream_destroy(&whole);
    stream_destroy(&part);
}

/* Keeps rows below a limit; −1 fails. */
static enum status keep_below(void *context, const struct dataset *dataset,
                              const struct dataset_item *item, bool *kept) {
    const int64_t limit = *(const int64_t *)context;
    if (limit < 0)
        return FAIL(STATUS_INPUT, "%s: cannot be asked", dataset->path);
    *kept = item->row < limit;
    return STATUS_OK;
}

static enum status open_kept(struct stream **stream, int64_t limit) {
    static char path[4096];
    const struct stream_source source = make_source('a', 10, 1.0, path, sizeof path);
    return stream_create(stream, &source, 1,
                         &(struct stream_options){.seed = 5,
                                                  .shuffle = true,
                                                  .keep = keep_below,
                                                  .context = &limit,
                                                  .too_long = "than four: say less"});
}

static void check_kept(void) {
    struct stream *stream, *all = open_stream(1, (int[]){10}, (double[]){1.0}, true);
    struct stream_item item, reference;
    CHECK_OK(open_kept(&stream, 4));
    CHECK_EQ(stream_source_count(stream), 1);
    CHECK_EQ(stream_kept(stream, 0), 4);
    CHECK_EQ(stream_left_out(stream, 0), 6);
    CHECK_EQ(stream_dataset(stream, 0)->count, 10);
    for (int i = 0; i < 8; i++) { /* the order of all prompts without those left out */
        stream_next(stream, &item);
        do
            stream_next(all, &reference);
        while (reference.data.row >= 4);
        CHECK_EQ(item.data.row, reference.data.row);
        CHECK_EQ(item.epoch, i / 4);
    }
    stream_destroy(&stream);
    stream_destroy(&all);
    CHECK_STATUS(open_kept(&stream, 0), STATUS_INPUT,
                 "all 10 prompts are too long: longer than four: say less");
    CHECK(stream == NULL);
    CHECK_STATUS(open_kept(&stream, -1), STATUS_INPUT, "cannot be asked");
}

static void check_broken(void) {
    char path[4096];
    struct stream *stream;
    const struct stream_options options = {.seed = 1};
    struct stream_source sources[2] = {
        make_source('a', 3, 1.0, path, sizeof path),
        {.data = {.path = "no.jsonl", .prompt = "q"}, .weight = 1.0}};
    CHECK_STATUS(stream_create(&stream, sources, 2, &options), STATUS_INPUT, "no.jsonl");
    CHECK(stream == NULL);
    static const double weights[] = {0.0, -1.0, (double)NAN, (double)INFINITY};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        sources[0].weight = weights[i];
        CHECK_STATUS(stream_create(&stream, sources, 1, &options), STATUS_INPUT,
                     "is not above 0 and finite");
    }
}

int main(int argc, char **argv) {
    (void)argc;
    program = argv[0];
    check_one_source();
    check_file_order();
    check_mixture(2, (int[]){3, 100}, (double[]){0.5, 1.5});
    check_mixture(2, (int[]){7, 10}, (double[]){1.0, 0.618033988749895});
    check_mixture(3, (int[]){3, 20, 50}, (double[]){1.0, 2.0, 4.0});
    check_mixture(8, (int[]){1, 2, 3, 4, 5, 6, 7, 100},
                  (double[]){0.3, 0.01, 1.0, 7.5, 2.25, 0.9, 1e-3, 3.14159});
    /* where the source furthest behind as the next one would miss a share by 1.3 prompts */
    check_mixture(8, (int[]){90, 2, 3, 4, 5, 6, 7, 100},
                  (double[]){0.384, 0.027, 0.003, 0.0004, 0.226, 0.122, 0.001, 0.237});
    check_ties();
    check_position();
    check_kept();
    check_broken();
    return CHECK_END();
}
