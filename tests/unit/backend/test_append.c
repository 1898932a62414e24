/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a decoding step: what is noted of a draw, what ends an answer, and where the next
 * position goes, against the rules written out row by row.
 */
#include "fixture.h"

enum {
    B = 11,
    MOST = 140,
    WIDTH = 3,
    PLACES = 11,
    NUMBERS = PLACES * WIDTH,
    STOPS = 2,
    FORCED = 2
};

/* A row before the step and what must become of it. */
struct expected {
    int32_t drawn, count, budget;
    enum decode_end before, after;
    int32_t page, slot;   /* of an open row: where its next position goes */
    int32_t forced_begin; /* where the forced text begins; 0 here: nowhere */
    int32_t forced;       /* the token of it that is noted; 0: what was drawn */
};

static const int32_t stop_ids[STOPS] = {3, 17};
static const int32_t forced_ids[FORCED] = {11, 17}; /* the second would end an answer if drawn */
static const struct expected rows[B] = {
    {5, 0, 140, DECODE_OPEN, DECODE_OPEN, 0, 0, 0, 0},
    {17, 4, 140, DECODE_OPEN, DECODE_STOP, 0, 0, 0, 0},
    {8, 9, 10, DECODE_OPEN, DECODE_FULL, 0, 0, 0, 0},
    {6, 64, 140, DECODE_OPEN, DECODE_OPEN, 1, 0, 0, 0},
    {3, 2, 140, DECODE_FULL, DECODE_FULL, 0, 0, 0, 0},
    {-1, 2, 140, DECODE_OPEN, DECODE_NOT_FINITE, 0, 0, 1, 0},
    {9, 127, 140, DECODE_OPEN, DECODE_OPEN, 1, 63, 0, 0},
    {3, 5, 140, DECODE_OPEN, DECODE_OPEN, 0, 5, 5, 11}, /* the first token of the forced text */
    {9, 6, 140, DECODE_OPEN, DECODE_OPEN, 0, 6, 5, 17}, /* its last */
    {3, 7, 140, DECODE_OPEN, DECODE_STOP, 0, 0, 5, 0},  /* behind it */
    {9, 4, 140, DECODE_OPEN, DECODE_OPEN, 0, 4, 5, 0},  /* before it */
};

/* The integers of a row that the step may change. */
struct columns {
    int32_t tokens[B], positions[B], counts[B], pages[B], slots[B], ends[B];
    uint32_t counters[4 * B];
};

static int32_t answer_of(int b) {
    return (3 * b + 1) % PLACES;
}

static int32_t number_of(int32_t place) {
    return 100 - place;
}

static int32_t noted_of(const struct expected *row) {
    return row->forced > 0 ? row->forced : row->drawn;
}

static struct columns before(void) {
    struct columns c;
    memset(&c, 0, sizeof c);
    for (int b = 0; b < B; b++) {
        c.tokens[b] = 1000 + b;
        c.positions[b] = 2000 + b;
        c.counts[b] = rows[b].count;
        c.pages[b] = 3000 + b;
        c.slots[b] = 4 + b;
        c.ends[b] = (int32_t)rows[b].before;
        for (uint32_t i = 0; i < 4; i++)
            c.counters[4 * b + (int)i] = 50 + i;
    }
    return c;
}

static struct columns after(void) {
    struct columns c = before();
    for (int b = 0; b < B; b++) {
        const struct expected *row = &rows[b];
        const int32_t n = row->count + 1;
        c.ends[b] = (int32_t)row->after;
        if (row->before != DECODE_OPEN || row->after == DECODE_NOT_FINITE)
            continue;
        c.counts[b] = n;
        c.slots[b] = -1;
        if (row->after == DECODE_STOP)
            continue;
        c.tokens[b] = noted_of(row);
        c.positions[b] = 30 + b + n - 1;
        c.counters[4 * b + 3] = (uint32_t)n;
        if (row->after != DECODE_OPEN)
            continue;
        c.pages[b] = number_of(answer_of(b) * WIDTH + row->page);
        c.slots[b] = row->slot;
    }
    return c;
}

/* Forced tokens have no numbers. */
static bool is_number(float have, float want, bool forced) {
    return forced ? isnan(have) : have == want;
}

/* Every element that was not noted is still 0. */
static void check_tables(const int32_t *tokens, const float *logprobs, const float *entropies) {
    int wrong = 0;
    for (int b = 0; b < B; b++) {
        const bool noted = rows[b].before == DECODE_OPEN && rows[b].after != DECODE_NOT_FINITE;
        for (int i = 0; i < MOST; i++) {
            const int at = answer_of(b) * MOST + i;
            const bool here = noted && i == rows[b].count;
            const bool forced = here && rows[b].forced > 0;
            wrong += tokens[at] != (here ? noted_of(&rows[b]) : 0) ||
                     !is_number(logprobs[at], here ? -1.0f - (float)b : 0.0f, forced) ||
                     !is_number(entropies[at], here ? 1.0f + (float)b : 0.0f, forced);
        }
    }
    CHECK_EQ(wrong, 0);
}

static void test_append(struct fixture *f) {
    const struct columns start = before(), want = after();
    struct columns *c = fixture_upload(f, &start, sizeof start);
    int32_t drawn[B], prompt_length[B], own_begin[B], budgets[B], answers[B], numbers[NUMBERS],
        forced_begins[B];
    float logprob[B], entropy[B];
    for (int b = 0; b < B; b++) {
        drawn[b] = rows[b].drawn;
        logprob[b] = -1.0f - (float)b;
        entropy[b] = 1.0f + (float)b;
        prompt_length[b] = 30 + b;
        answers[b] = answer_of(b);
        own_begin[b] = answer_of(b) * WIDTH;
        budgets[b] = rows[b].budget;
        forced_begins[b] = rows[b].forced_begin > 0 ? rows[b].forced_begin : -1;
    }
    for (int32_t i = 0; i < NUMBERS; i++)
        numbers[i] = number_of(i);
    int32_t *tokens = fixture_ints(f, NULL, PLACES * MOST);
    float *logprobs = fixture_floats(f, NULL, PLACES * MOST),
          *entropies = fixture_floats(f, NULL, PLACES * MOST);
    CHECK_OK(backend_run(
        &f->backend, decode_append, .drawn = fixture_ints(f, drawn, B),
        .logprob = fixture_floats(f, logprob, B), .entropy = fixture_floats(f, entropy, B),
        .tokens = c->tokens, .positions = c->positions, .counts = c->counts,
        .counters = c->counters, .pages = c->pages, .slots = c->slots, .ends = c->ends,
        .prompt_length = fixture_ints(f, prompt_length, B),
        .own_begin = fixture_ints(f, own_begin, B),
        .page_numbers = fixture_ints(f, numbers, NUMBERS), .budgets = fixture_ints(f, budgets, B),
        .answers = fixture_ints(f, answers, B), .answer_tokens = tokens,
        .answer_logprobs = logprobs, .answer_entropies = entropies,
        .stop_ids = fixture_ints(f, stop_ids, STOPS),
        .forced_begins = fixture_ints(f, forced_begins, B),
        .forced = fixture_ints(f, forced_ids, FORCED), .B = B, .most = MOST, .stop_id_count = STOPS,
        .forced_count = FORCED, .page_number_count = NUMBERS));
    const int32_t *have = (const int32_t *)c, *should = (const int32_t *)&want;
    for (size_t i = 0; i < sizeof want / sizeof *have; i++)
        if (have[i] != should[i])
            CHECK_FAILED("%s: column %d of row %d is %d, expected %d", f->name, (int)i / B,
                         (int)i % B, have[i], should[i]);
    check_tables(tokens, logprobs, entropies);
    fixture_reset(f);
}

/* A log-probability or an entropy that is not finite is noticed although a token was drawn. */
static void test_not_finite(struct fixture *f) {
    const float scores[2][2] = {{NAN, 1}, {-1, INFINITY}};
    for (int i = 0; i < 2; i++) {
        int32_t *zeros = fixture_ints(f, NULL, 16), *ends = fixture_ints(f, NULL, 1),
                *tokens = fixture_ints(f, NULL, 4);
        const int32_t four = 4;
        float *table = fixture_floats(f, NULL, 4), *other = fixture_floats(f, NULL, 4);
        CHECK_OK(backend_run(
            &f->backend, decode_append, .drawn = fixture_ints(f, &four, 1),
            .logprob = fixture_floats(f, &scores[i][0], 1),
            .entropy = fixture_floats(f, &scores[i][1], 1), .tokens = zeros, .positions = zeros + 1,
            .counts = zeros + 2, .pages = zeros + 3, .slots = zeros + 4,
            .counters = (uint32_t *)zeros + 5, .ends = ends, .prompt_length = zeros + 9,
            .own_begin = zeros + 10, .page_numbers = zeros + 11,
            .budgets = fixture_ints(f, &four, 1), .answers = zeros + 12, .answer_tokens = tokens,
            .answer_logprobs = table, .answer_entropies = other, .forced_begins = zeros + 13,
            .forced_count = 1, .forced = fixture_ints(f, &four, 1), .B = 1, .most = 4,
            .page_number_count = 1));
        CHECK_EQ(ends[0], DECODE_NOT_FINITE);
        CHECK_EQ(zeros[2], 0);
        CHECK_EQ(tokens[0], 0);
        fixture_reset(f);
    }
}

static void test_all(struct fixture *f) {
    test_append(f);
    test_not_finite(f);
}

int main(void) {
    fixture_each(test_all);
    return CHECK_END();
}
