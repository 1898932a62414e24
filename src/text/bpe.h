/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte-pair encoding of one piece (Sennrich et al. 2016, over bytes as in GPT-2): the adjacent pair
 * of least rank merges first, the leftmost of equals. n bytes cost O(n log n); pieces of words are
 * remembered.
 */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "text/token_list.h"
#include "text/vocabulary.h"

struct bpe_merge {
    int32_t left, right, rank, made; /* made: id + 1, 0 for a free place */
};

struct bpe_symbol {
    int32_t id, previous, next; /* next: count at the end; id −1: merged into its left neighbour */
};

struct bpe_word;

struct bpe {
    int32_t byte_ids[256]; /* −1: no token, the byte counts as unknown */
    int32_t unknown;       /* id of the unknown token, −1: unknown bytes vanish */
    bool fuse_unknown;     /* neighbouring unknown bytes are one */
    bool whole_words;      /* a piece that is a token is that token, whatever the merges say */
    struct bpe_merge *merges;
    size_t merge_places;
    struct bpe_word *words; /* remembered pieces, each in the place of its hash */
    struct bpe_symbol *symbols;
    uint64_t *heap; /* rank and place of mergeable pairs */
    size_t symbol_capacity, heap_count;
    int32_t *ids;
    struct strbuf letters;
};

/* Makes room for `merges` merges and finds the ids of the bytes. bpe_release in any case. */
enum status bpe_init(struct bpe *bpe, const struct vocabulary *vocabulary, size_t merges) MUST_USE;
void bpe_release(struct bpe *bpe);

/* A merge of two ids; the later one of equal pairs counts. */
void bpe_add_merge(struct bpe *bpe, int32_t left, int32_t right, int32_t rank, int32_t made);

/* Appends the ids of a piece (bytes). */
enum status bpe_encode(struct bpe *bpe, const struct vocabulary *vocabulary, const char *piece,
                       size_t length, struct token_list *out) MUST_USE;

#endif
