/* SPDX-License-Identifier: Apache-2.0
 *
 * Shards cover the vector without overlap, cut it only between blocks of a tensor, stand in order in
 * their owner's memory and are about even: for all small layouts on up to 9 ranks, and for some large
 * ones.
 */
#include "optim/shard.h"

#include "base/memory.h"
#include "check.h"

enum { PARTS = 12, RANKS = 9 };

static struct backend backend;

static struct vector_layout *layout_of(const int64_t *sizes, int count) {
    struct vector_part parts[PARTS];
    struct vector_layout *layout = NULL;
    int64_t at = 0;
    for (int i = 0; i < count; at += sizes[i], i++)
        parts[i] = (struct vector_part){.offset = at, .elements = sizes[i], .decay = i % 2 == 0};
    CHECK_OK(vector_layout_create(&layout, &backend, parts, count));
    return layout;
}

/* Whether a block of some tensor begins there; *index counts those before it. */
static bool begins_block(const struct vector_layout *layout, int64_t element, int64_t *index) {
    *index = 0;
    for (int64_t i = 0; i < layout->count; i++) {
        const struct vector_part *part = &layout->parts[i];
        const int64_t inside = element - part->offset;
        if (inside < part->elements) {
            *index += inside / VECTOR_BLOCK;
            return inside % VECTOR_BLOCK == 0;
        }
        *index += (part->elements + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    }
    return element == layout->elements;
}

static void check_pieces(const struct shard *s) {
    CHECK_EQ(s->borders[0], 0);
    CHECK_EQ(s->borders[s->piece_count], s->layout->elements);
    for (int64_t p = 0; p <= s->piece_count; p++) {
        int64_t index;
        CHECK(begins_block(s->layout, s->borders[p], &index));
        CHECK_EQ(s->blocks[p], index);
        CHECK(p == 0 || s->borders[p] > s->borders[p - 1]);
    }
}

/* The ranges of a rank follow one another, in the vector and in its memory. */
static int64_t check_rank(const struct shard *s, int rank) {
    int64_t place = 0, end = -1;
    for (int64_t i = 0; i < shard_range_count(s, rank); i++) {
        const struct shard_range range = shard_range_at(s, rank, i);
        CHECK_EQ(range.place, place);
        CHECK(range.begin > end && range.end > range.begin);
        CHECK_EQ(shard_round_of(s, range.begin), i);
        CHECK_EQ(shard_round_of(s, range.end - 1), i);
        CHECK(range.end - range.begin <= shard_longest_piece(s));
        place += range.end - range.begin;
        end = range.end;
    }
    return place;
}

/* Every element between two borders has one owner, whatever stretch is asked for. */
static void check_stretch(const struct shard *s, int64_t begin, int64_t end) {
    int64_t at = begin;
    for (int64_t round = shard_round_of(s, begin); at < end; round++) {
        CHECK(round < shard_round_count(s));
        for (int rank = 0; rank < s->size; rank++) {
            const struct shard_range part = shard_range_within(s, rank, round, begin, end);
            if (part.begin == part.end)
                continue;
            const struct shard_range whole = shard_range_at(s, rank, round);
            CHECK_EQ(part.begin, at);
            CHECK_EQ(part.place - whole.place, part.begin - whole.begin);
            at = part.end;
        }
    }
    CHECK_EQ(at, end);
}

static void check_layout(const int64_t *sizes, int count) {
    struct vector_layout *layout = layout_of(sizes, count);
    const int64_t n = layout->elements;
    for (int size = 1; size <= RANKS; size++) {
        int64_t sum = 0, most = 0, of_fullest = 0;
        struct shard *s = NULL;
        for (int rank = 0; rank < size; rank++) {
            CHECK_OK(shard_create(&s, layout, rank, size));
            const int64_t mine = check_rank(s, rank);
            CHECK_EQ(s->elements, mine);
            sum += mine;
            most = mine > most ? mine : most;
            of_fullest = rank == shard_fullest_rank(s) ? mine : of_fullest;
            if (rank == 0) {
                check_pieces(s);
                check_stretch(s, 0, n);
                check_stretch(s, n / 3, n / 3 + 1);
                check_stretch(s, n / 4, n - n / 5);
            }
            /* A rank has at most two pieces more than its even share. */
            CHECK(most <= n / size + 2 * shard_longest_piece(s));
            CHECK(size > 1 || (s->piece_count == 1 && s->places[0] == 0));
            shard_destroy(&s);
            CHECK(s == NULL);
        }
        CHECK_EQ(sum, n);
        CHECK_EQ(of_fullest, most);
    }
    vector_layout_destroy(&layout);
}

/* All layouts of up to four tensors of these sizes. */
static void check_small(void) {
    static const int64_t sizes[] = {
        1, 7, VECTOR_BLOCK - 1, VECTOR_BLOCK, VECTOR_BLOCK + 1, 3 * VECTOR_BLOCK + 5};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    int64_t chosen[4];
    for (int count = 1; count <= 4; count++)
        for (int which = 0, all = (int)pow(SIZES, count); which < all; which++) {
            int rest = which;
            for (int i = 0; i < count; i++, rest /= SIZES)
                chosen[i] = sizes[rest % SIZES];
            check_layout(chosen, count);
        }
}

/* The shares of a large vector are even, and so are those of one of its layers. */
static void check_even(void) {
    static const int64_t sizes[] = {151936LL * 896, 896, 1152LL * 896, 9728LL * 896, 4864LL * 896};
    struct vector_layout *layout = layout_of(sizes, 5);
    struct shard *s = NULL;
    for (int rank = 0; rank < 8; rank++) {
        CHECK_OK(shard_create(&s, layout, rank, 8));
        CHECK_NEAR((double)s->elements * 8 / (double)layout->elements, 1.0, 0.06);
        shard_destroy(&s);
    }
    vector_layout_destroy(&layout);
}

int main(void) {
    static const int64_t many[PARTS] = {5, 800, 70000, 12, 12, 12, 300000, 64, 64, 1, 9000, 131072};
    CHECK_OK(backend_open(&backend, "cpu", 1));
    check_small();
    check_layout(many, PARTS);
    check_even();
    backend_close(&backend);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
