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
    memory_release(&exchange->rows);
    memory_release(&exchange->bytes);
}

/* --- who brings what --- */

/* What a rank brings of the piece at work, as all know it. */
struct bringer {
    bool present;
    const int32_t *rows; /* of a matrix */
    int64_t count;
};

static struct bringer bringer_of(const struct exchange *e, int rank) {
    struct bringer b = {.present = list(e, WORDS)[rank] > 0};
    if (e->rows == NULL)
        return b;
    b.rows = e->rows;
    for (int r = 0; r < rank; r++)
        b.rows += e->bytes[r] / sizeof *b.rows;
    b.count = (int64_t)(e->bytes[rank] / sizeof *b.rows);
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

static int64_t values_before(const struct exchange *e, const struct bringer *b, int64_t element) {
    const int64_t inside = element - e->piece.offset, columns = e->piece.columns;
    if (columns == 0)
        return inside;
    const int64_t row = inside / columns, i = find_row(b, row);
    const bool cut = i < b->count && b->rows[i] == row;
    return i * columns + (cut ? inside % columns : 0);
}

static struct stretch stretch_of(const struct exchange *e, const struct bringer *b, int64_t begin,
                                 int64_t end) {
    if (!b->present || begin >= end)
        return (struct stretch){0, 0};
    const int64_t at = values_before(e, b, begin);
    return (struct stretch){at, values_before(e, b, end) - at};
}

/* --- windows: what goes over at a time --- */

/* Elements of rank r's part in the round of the deal at work, at most `width` of them, from the
 * step-th width on. */
static struct shard_range window(const struct exchange *e, int rank) {
    const struct exchange_piece *piece = &e->piece;
    struct shard_range all =
        shard_range_within(e->shard, rank, e->round, piece->offset, piece->offset + piece->n);
    const int64_t skipped = e->step * e->width;
    all.begin = all.end - all.begin > skipped ? all.begin + skipped : all.end;
    all.place += skipped;
    all.end = all.end - all.begin > e->width ? all.begin + e->width : all.end;
    return all;
}

/* Hands `n` addends to the owner: of a whole piece in one stretch, of rows run by run. The first is
 * number `at` of the rank's values. */
static enum status hand_rows(const struct exchange *e, const struct bringer *b,
                             const struct shard_range *mine, struct stretch stretch,
                             const float *values) {
    const int64_t columns = e->piece.columns;
    for (int64_t done = 0; done < stretch.n;) {
        int64_t row = (stretch.at + done) / columns;
        const int64_t element =
            e->piece.offset + b->rows[row] * columns + (stretch.at + done) % columns;
        int64_t n = columns - (stretch.at + done) % columns;
        while (row + 1 < b->count && b->rows[row + 1] == b->rows[row] + 1 && done + n < stretch.n) {
            n += columns;
            row++;
        }
        n = n < stretch.n - done ? n : stretch.n - done;
        TRY(e->owner.add(e->owner.context, mine->place + (element - mine->begin), values + done,
                         n));
        done += n;
    }
    return STATUS_OK;
}

static enum status hand(const struct exchange *e, int rank, const struct shard_range *mine,
                        const float *values) {
    const struct bringer b = bringer_of(e, rank);
    const struct stretch stretch = stretch_of(e, &b, mine->begin, mine->end);
    if (stretch.n == 0)
        return STATUS_OK;
    if (e->piece.columns == 0)
        return e->owner.add(e->owner.context, mine->place, values, stretch.n);
    return hand_rows(e, &b, mine, stretch, values);
}

/* Lists the messages of the window: to every owner its part of what this rank brings, from every rank
 * what it brings of this rank's part. Whether there is any. */
static bool list_messages(struct exchange *e) {
    const int own = e->reducer->comm->rank;
    const struct bringer me = bringer_of(e, own);
    const struct shard_range mine = window(e, own);
    bool any = false;
    for (int r = 0; r < e->shard->size; r++) {
        const struct bringer other = bringer_of(e, r);
        const struct shard_range theirs = window(e, r);
        const struct stretch to = stretch_of(e, &me, theirs.begin, theirs.end),
                             from = stretch_of(e, &other, mine.begin, mine.end);
        list(e, SEND_AT)[r] = to.at;
        list(e, SEND_COUNT)[r] = r == own ? 0 : to.n;
        list(e, RECEIVE_AT)[r] = r * e->width;
        list(e, RECEIVE_COUNT)[r] = r == own ? 0 : from.n;
        any = any || (r != own && to.n + from.n > 0);
    }
    e->flight = (struct reducer_exchange){.send = e->piece.values,
                                          .send_at = list(e, SEND_AT),
                                          .send_count = list(e, SEND_COUNT),
                                          .receive = e->room,
                                          .receive_at = list(e, RECEIVE_AT),
                                          .receive_count = list(e, RECEIVE_COUNT)};
    return any;
}

static enum status begin_window(struct exchange *e) {
    e->flies = list_messages(e);
    return e->flies ? reducer_exchange_begin(e->reducer, &e->flight) : STATUS_OK;
}

/* The additions of the window, in the order of ranks. */
static enum status add_window(struct exchange *e) {
    const int own = e->reducer->comm->rank;
    const struct shard_range mine = window(e, own);
    for (int r = 0; r < e->shard->size && mine.begin < mine.end; r++) {
        const struct bringer b = bringer_of(e, r);
        const struct stretch own_values = stretch_of(e, &b, mine.begin, mine.end);
        const float *from = r != own            ? e->room + r * e->width
                            : own_values.n == 0 ? NULL
                                                : e->piece.values + own_values.at;
        TRY(hand(e, r, &mine, from));
    }
    return STATUS_OK;
}

/* Windows of a round: as many as the longest part in it takes. */
static int64_t steps_of(const struct exchange *e) {
    const struct exchange_piece *piece = &e->piece;
    int64_t longest = 0;
    for (int r = 0; r < e->shard->size; r++) {
        const struct shard_range part =
            shard_range_within(e->shard, r, e->round, piece->offset, piece->offset + piece->n);
        longest = part.end - part.begin > longest ? part.end - part.begin : longest;
    }
    return (longest + e->width - 1) / e->width;
}

/* On to the next window; whether there is one. */
static bool next_window(struct exchange *e) {
    if (++e->step < steps_of(e))
        return true;
    e->step = 0;
    return ++e->round <= shard_round_of(e->shard, e->piece.offset + e->piece.n - 1);
}

/* --- a piece on its way --- */

static enum status check_words(const struct exchange *e) {
    const int64_t *words = list(e, WORDS), word = e->piece.offset + 1;
    for (int r = 0; r < e->shard->size; r++)
        if (words[r] != word && words[r] != -word)
            return FAIL(STATUS_DEFECT,
                        "rank %d gives the gradient at element %lld while rank %d gives %lld", r,
                        (long long)(words[r] < 0 ? -words[r] : words[r]) - 1,
                        e->reducer->comm->rank, (long long)e->piece.offset);
    return STATUS_OK;
}

/* All know what each brings; of a matrix also which rows. */
static enum status open_windows(struct exchange *e) {
    const struct exchange_piece *piece = &e->piece;
    const size_t bytes = piece->values != NULL ? (size_t)piece->count * sizeof *piece->rows : 0;
    TRY(check_words(e));
    if (piece->columns > 0)
        TRY(comm_all_gather(e->reducer->comm, piece->rows, bytes, (void **)&e->rows, &e->bytes));
    e->round = shard_round_of(e->shard, piece->offset);
    e->step = 0;
    e->stage = EXCHANGE_MESSAGES;
    return begin_window(e);
}

/* The window has come. Only a failure of the reducer ends the piece at once: the others go on. */
static enum status close_window(struct exchange *e) {
    reducer_beside(e->reducer, true);
    if (e->status == STATUS_OK)
        e->status = add_window(e);
    reducer_beside(e->reducer, false);
    if (next_window(e))
        return begin_window(e);
    e->stage = EXCHANGE_ADDED;
    return STATUS_OK;
}

/* As far as it can without waiting, or to the last addition. */
static enum status advance(struct exchange *e, bool wait) {
    for (bool come = true; come && e->stage != EXCHANGE_ADDED && e->stage != EXCHANGE_IDLE;) {
        if (e->stage == EXCHANGE_MEETING) {
            TRY(comm_words_test(e->reducer->comm, wait, &come));
            if (come)
                TRY(open_windows(e));
            continue;
        }
        if (e->flies)
            TRY(reducer_exchange_test(e->reducer, wait, &come));
        if (come)
            TRY(close_window(e));
    }
    return STATUS_OK;
}

/* What fails here leaves no piece at work. */
static enum status lose(struct exchange *e, enum status status) {
    if (status != STATUS_OK)
        e->stage = EXCHANGE_IDLE;
    return status;
}

/* Gathering the rows is a meeting of all ranks, and so is not for a look that each has in its own
 * time. */
enum status exchange_progress(struct exchange *exchange) {
    return lose(exchange, advance(exchange, false));
}

enum status exchange_finish(struct exchange *exchange) {
    if (exchange->stage == EXCHANGE_IDLE)
        return STATUS_OK;
    enum status status = advance(exchange, true);
    if (status == STATUS_OK)
        status = reducer_join(exchange->reducer, "exchange of gradients");
    exchange->stage = EXCHANGE_IDLE;
    memory_release(&exchange->rows);
    memory_release(&exchange->bytes);
    return status != STATUS_OK ? status : exchange->status;
}

enum status exchange_begin(struct exchange *exchange, const struct exchange_piece *piece,
                           const struct exchange_owner *owner) {
    const int64_t word = piece->offset + 1;
    ASSERT(piece->columns == 0 || piece->n % piece->columns == 0);
    const enum status before = exchange_finish(exchange);
    if (before == STATUS_COMM)
        return before;
    exchange->piece = *piece;
    exchange->owner = *owner;
    exchange->status = before;
    TRY(reducer_follow(exchange->reducer));
    TRY(comm_words_begin(exchange->reducer->comm, piece->values != NULL ? word : -word,
                         list(exchange, WORDS)));
    exchange->stage = EXCHANGE_MEETING;
    return piece->columns > 0 ? exchange_finish(exchange) : STATUS_OK;
}
