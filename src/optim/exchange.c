/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/exchange.h"

#include "base/memory.h"

/* The lists in `messages`. */
enum { WORDS, SEND_AT, SEND_COUNT, RECEIVE_AT, RECEIVE_COUNT, LISTS };

static int64_t *list(const struct exchange *exchange, int which) {
    return exchange->messages + (int64_t)which * exchange->shard->size;
}

enum status exchange_init(struct exchange *exchange, struct backend *backend,
                          const struct shard *shard, struct reducer *reducer) {
    const int64_t size = shard->size;
    const size_t bytes = reducer_room_bytes(reducer->comm, shard_longest_piece(shard) * size);
    *exchange = (struct exchange){.backend = backend,
                                  .shard = shard,
                                  .reducer = reducer,
                                  .width = (int64_t)(bytes / sizeof(float)) / size};
    TRY(memory_new(&exchange->messages, LISTS * size, "list of messages"));
    return backend_new(backend, &exchange->room, exchange->width * size, "gradients exchanged");
}

void exchange_release(struct exchange *exchange) {
    if (exchange->backend != NULL)
        backend_release(exchange->backend, &exchange->room);
    memory_release(&exchange->messages);
}

/* --- who brings what --- */

/* What a rank brings of the piece at work, as all know it. */
struct bringer {
    bool present;
    const int32_t *rows; /* of a matrix */
    int64_t count;
};

/* The piece at work. */
struct job {
    struct exchange *exchange;
    const struct exchange_piece *piece;
    const struct exchange_owner *owner;
    int32_t *rows; /* gathered from all ranks, one behind the other; NULL: no matrix */
    size_t *bytes; /* (ranks) of them */
    enum status status;
};

static struct bringer bringer_of(const struct job *job, int rank) {
    struct bringer b = {.present = list(job->exchange, WORDS)[rank] > 0};
    if (job->rows == NULL)
        return b;
    b.rows = job->rows;
    for (int r = 0; r < rank; r++)
        b.rows += job->bytes[r] / sizeof *b.rows;
    b.count = (int64_t)(job->bytes[rank] / sizeof *b.rows);
    return b;
}

/* First of the ascending rows that is `row` or more. */
static int64_t find_row(const struct bringer *b, int64_t row) {
    int64_t low = 0, high = b->count;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (b->rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The stretch of a rank's values that belongs to elements [begin, end) of the vector, which lie in
 * the piece: of a whole piece its elements, of rows those that are there, the first and the last
 * perhaps in part. */
struct stretch {
    int64_t at, n;
};

static int64_t values_before(const struct job *job, const struct bringer *b, int64_t element) {
    const int64_t inside = element - job->piece->offset, columns = job->piece->columns;
    if (columns == 0)
        return inside;
    const int64_t row = inside / columns, i = find_row(b, row);
    const bool cut = i < b->count && b->rows[i] == row;
    return i * columns + (cut ? inside % columns : 0);
}

static struct stretch stretch_of(const struct job *job, const struct bringer *b, int64_t begin,
                                 int64_t end) {
    if (!b->present || begin >= end)
        return (struct stretch){0, 0};
    const int64_t at = values_before(job, b, begin);
    return (struct stretch){at, values_before(job, b, end) - at};
}

/* --- windows: what goes over at a time --- */

/* Elements of rank r's part in round `round` of the deal, at most `width` of them, from the `step`-th
 * width on. */
static struct shard_range window(const struct job *job, int rank, int64_t round, int64_t step) {
    const struct exchange *e = job->exchange;
    const struct exchange_piece *piece = job->piece;
    struct shard_range all =
        shard_range_within(e->shard, rank, round, piece->offset, piece->offset + piece->n);
    const int64_t skipped = step * e->width;
    all.begin = all.end - all.begin > skipped ? all.begin + skipped : all.end;
    all.place += skipped;
    all.end = all.end - all.begin > e->width ? all.begin + e->width : all.end;
    return all;
}

/* Hands `n` addends to the owner: of a whole piece in one stretch, of rows run by run. The first is
 * number `at` of the rank's values. */
static enum status hand_rows(const struct job *job, const struct bringer *b,
                             const struct shard_range *mine, struct stretch stretch,
                             const float *values) {
    const int64_t columns = job->piece->columns;
    for (int64_t done = 0; done < stretch.n;) {
        int64_t row = (stretch.at + done) / columns;
        const int64_t element =
            job->piece->offset + b->rows[row] * columns + (stretch.at + done) % columns;
        int64_t n = columns - (stretch.at + done) % columns;
        while (row + 1 < b->count && b->rows[row + 1] == b->rows[row] + 1 && done + n < stretch.n) {
            n += columns;
            row++;
        }
        n = n < stretch.n - done ? n : stretch.n - done;
        TRY(job->owner->add(job->owner->context, mine->place + (element - mine->begin),
                            values + done, n));
        done += n;
    }
    return STATUS_OK;
}

static enum status hand(const struct job *job, int rank, const struct shard_range *mine,
                        const float *values) {
    const struct bringer b = bringer_of(job, rank);
    const struct stretch stretch = stretch_of(job, &b, mine->begin, mine->end);
    if (stretch.n == 0)
        return STATUS_OK;
    if (job->piece->columns == 0)
        return job->owner->add(job->owner->context, mine->place, values, stretch.n);
    return hand_rows(job, &b, mine, stretch, values);
}

/* Lists the messages of a window: to every owner its part of what this rank brings, from every rank
 * what it brings of this rank's part. Whether there is any. */
static bool list_messages(const struct job *job, int64_t round, int64_t step) {
    const struct exchange *e = job->exchange;
    const int own = e->reducer->comm->rank;
    const struct bringer me = bringer_of(job, own);
    const struct shard_range mine = window(job, own, round, step);
    bool any = false;
    for (int r = 0; r < e->shard->size; r++) {
        const struct bringer other = bringer_of(job, r);
        const struct shard_range theirs = window(job, r, round, step);
        const struct stretch to = stretch_of(job, &me, theirs.begin, theirs.end),
                             from = stretch_of(job, &other, mine.begin, mine.end);
        list(e, SEND_AT)[r] = to.at;
        list(e, SEND_COUNT)[r] = r == own ? 0 : to.n;
        list(e, RECEIVE_AT)[r] = r * e->width;
        list(e, RECEIVE_COUNT)[r] = r == own ? 0 : from.n;
        any = any || (r != own && to.n + from.n > 0);
    }
    return any;
}

/* One window: messages, then the additions. Only a failure of the reducer ends it at once. */
static enum status pass_window(struct job *job, int64_t round, int64_t step) {
    const struct exchange *e = job->exchange;
    const int own = e->reducer->comm->rank;
    const struct shard_range mine = window(job, own, round, step);
    const float *values = job->piece->values;
    if (list_messages(job, round, step))
        TRY(reducer_exchange(e->reducer,
                             &(struct reducer_exchange){.send = values,
                                                        .send_at = list(e, SEND_AT),
                                                        .send_count = list(e, SEND_COUNT),
                                                        .receive = e->room,
                                                        .receive_at = list(e, RECEIVE_AT),
                                                        .receive_count = list(e, RECEIVE_COUNT)}));
    for (int r = 0; r < e->shard->size && mine.begin < mine.end && job->status == STATUS_OK; r++) {
        const struct bringer b = bringer_of(job, r);
        const struct stretch own_values = stretch_of(job, &b, mine.begin, mine.end);
        const float *from = r != own            ? e->room + r * e->width
                            : own_values.n == 0 ? NULL
                                                : values + own_values.at;
        job->status = hand(job, r, &mine, from);
    }
    return STATUS_OK;
}

/* Windows of a round: as many as the longest part in it takes. */
static int64_t steps_of(const struct job *job, int64_t round) {
    const struct exchange *e = job->exchange;
    const struct exchange_piece *piece = job->piece;
    int64_t longest = 0;
    for (int r = 0; r < e->shard->size; r++) {
        const struct shard_range part =
            shard_range_within(e->shard, r, round, piece->offset, piece->offset + piece->n);
        longest = part.end - part.begin > longest ? part.end - part.begin : longest;
    }
    return (longest + e->width - 1) / e->width;
}

/* Tells all ranks whether this one brings something, and of which piece; of a matrix also which
 * rows. */
static enum status meet(struct job *job) {
    const struct exchange *e = job->exchange;
    const struct exchange_piece *piece = job->piece;
    struct comm *comm = e->reducer->comm;
    int64_t *words = list(e, WORDS);
    const int64_t word = piece->offset + 1;
    TRY(comm_words(comm, piece->values != NULL ? word : -word, words));
    for (int r = 0; r < comm->size; r++)
        if (words[r] != word && words[r] != -word)
            return FAIL(STATUS_DEFECT,
                        "rank %d gives the gradient at element %lld while rank %d gives %lld", r,
                        (long long)(words[r] < 0 ? -words[r] : words[r]) - 1, comm->rank,
                        (long long)piece->offset);
    if (piece->columns == 0)
        return STATUS_OK;
    return comm_all_gather(comm, piece->rows,
                           piece->values != NULL ? (size_t)piece->count * sizeof *piece->rows : 0,
                           (void **)&job->rows, &job->bytes);
}

enum status exchange_bring(struct exchange *exchange, const struct exchange_piece *piece,
                           const struct exchange_owner *owner) {
    const struct shard *shard = exchange->shard;
    struct job job = {.exchange = exchange, .piece = piece, .owner = owner};
    ASSERT(piece->columns == 0 || piece->n % piece->columns == 0);
    enum status status = meet(&job);
    const int64_t last = shard_round_of(shard, piece->offset + piece->n - 1);
    for (int64_t round = shard_round_of(shard, piece->offset); round <= last; round++)
        for (int64_t step = 0; status == STATUS_OK && step < steps_of(&job, round); step++)
            status = pass_window(&job, round, step);
    memory_release(&job.rows);
    memory_release(&job.bytes);
    return status != STATUS_OK ? status : job.status;
}
