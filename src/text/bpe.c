/* SPDX-License-Identifier: Apache-2.0 */
#include "text/bpe.h"

#include <string.h>

#include "base/memory.h"
#include "text/hash.h"
#include "text/letters.h"

#define WORD_PLACES ((size_t)1 << 15)

/* A remembered piece: one line of cache. */
struct bpe_word {
    int32_t ids[9];
    uint8_t length, count; /* length 0: free */
    char bytes[26];
};

_Static_assert(sizeof(struct bpe_word) == 64, "a remembered word is a line of cache");

#define WORD_BYTES sizeof(((struct bpe_word *)0)->bytes)
#define WORD_IDS   (int32_t)(sizeof(((struct bpe_word *)0)->ids) / sizeof(int32_t))

enum status bpe_init(struct bpe *bpe, const struct vocabulary *vocabulary, size_t merges) {
    *bpe = (struct bpe){.unknown = -1, .merge_places = hash_places(merges)};
    for (int byte = 0; byte < 256; byte++) {
        const char one = (char)byte;
        strbuf_clear(&bpe->letters);
        TRY(letters_from_bytes(&one, 1, &bpe->letters));
        bpe->byte_ids[byte] =
            vocabulary_find_model(vocabulary, bpe->letters.text, bpe->letters.length);
    }
    TRY(memory_new(&bpe->merges, bpe->merge_places, "merges"));
    return memory_new(&bpe->words, WORD_PLACES, "remembered words");
}

void bpe_release(struct bpe *bpe) {
    memory_release(&bpe->merges);
    memory_release(&bpe->words);
    memory_release(&bpe->symbols);
    memory_release(&bpe->heap);
    memory_release(&bpe->ids);
    strbuf_release(&bpe->letters);
}

static struct bpe_merge *find_merge(const struct bpe *bpe, int32_t left, int32_t right) {
    const size_t mask = bpe->merge_places - 1;
    size_t place = hash_word((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & mask;
    while (bpe->merges[place].made != 0 &&
           (bpe->merges[place].left != left || bpe->merges[place].right != right))
        place = (place + 1) & mask;
    return &bpe->merges[place];
}

void bpe_add_merge(struct bpe *bpe, int32_t left, int32_t right, int32_t rank, int32_t made) {
    *find_merge(bpe, left, right) =
        (struct bpe_merge){.left = left, .right = right, .rank = rank, .made = made + 1};
}

/* The heap's least key is the pair to merge next: rank above, place of the left symbol below. */
static void heap_push(struct bpe *bpe, uint64_t key) {
    size_t i = bpe->heap_count++;
    for (; i > 0 && bpe->heap[(i - 1) / 2] > key; i = (i - 1) / 2)
        bpe->heap[i] = bpe->heap[(i - 1) / 2];
    bpe->heap[i] = key;
}

static uint64_t heap_pop(struct bpe *bpe) {
    const uint64_t least = bpe->heap[0], moved = bpe->heap[--bpe->heap_count];
    size_t i = 0;
    for (size_t child = 1; child < bpe->heap_count; child = 2 * i + 1) {
        if (child + 1 < bpe->heap_count && bpe->heap[child + 1] < bpe->heap[child])
            child++;
        if (bpe->heap[child] >= moved)
            break;
        bpe->heap[i] = bpe->heap[child];
        i = child;
    }
    bpe->heap[i] = moved;
    return least;
}

static void offer_pair(struct bpe *bpe, int32_t left, int32_t right) {
    const struct bpe_merge *merge = find_merge(bpe, bpe->symbols[left].id, bpe->symbols[right].id);
    if (merge->made != 0)
        heap_push(bpe, (uint64_t)(uint32_t)merge->rank << 32 | (uint32_t)left);
}

static void merge_all(struct bpe *bpe, int32_t count) {
    struct bpe_symbol *symbols = bpe->symbols;
    bpe->heap_count = 0;
    for (int32_t i = 0; i + 1 < count; i++)
        offer_pair(bpe, i, i + 1);
    while (bpe->heap_count > 0) {
        const uint64_t key = heap_pop(bpe);
        const int32_t left = (int32_t)(key & UINT32_MAX), right = symbols[left].next;
        if (symbols[left].id < 0 || right == count)
            continue;
        const struct bpe_merge *merge = find_merge(bpe, symbols[left].id, symbols[right].id);
        if (merge->made == 0 || (uint64_t)(uint32_t)merge->rank != key >> 32)
            continue; /* one of the two has merged since */
        symbols[left].id = merge->made - 1;
        symbols[left].next = symbols[right].next;
        symbols[right].id = -1;
        if (symbols[left].next < count) {
            symbols[symbols[left].next].previous = left;
            offer_pair(bpe, left, symbols[left].next);
        }
        if (symbols[left].previous >= 0)
            offer_pair(bpe, symbols[left].previous, left);
    }
}

/* The symbols of single bytes; returns how many. */
static int32_t lay_symbols(struct bpe *bpe, const char *piece, size_t length) {
    int32_t count = 0;
    bool after_unknown = false;
    for (size_t i = 0; i < length; i++) {
        const int32_t known = bpe->byte_ids[(unsigned char)piece[i]];
        const int32_t id = known >= 0 ? known : bpe->unknown;
        const bool fused = known < 0 && after_unknown && bpe->fuse_unknown;
        after_unknown = known < 0;
        if (id < 0 || fused)
            continue;
        bpe->symbols[count] =
            (struct bpe_symbol){.id = id, .previous = count - 1, .next = count + 1};
        count++;
    }
    return count;
}

static enum status make_room(struct bpe *bpe, size_t length) {
    if (length <= bpe->symbol_capacity)
        return STATUS_OK;
    if (length > INT32_MAX / 4)
        return FAIL(STATUS_INPUT, "a text has a word of %zu bytes, more than %d", length,
                    INT32_MAX / 4);
    const size_t capacity = length < 256 ? 256 : 2 * length;
    TRY(memory_grow(&bpe->symbols, capacity, "tokenizer"));
    TRY(memory_grow(&bpe->heap, 3 * capacity, "tokenizer"));
    TRY(memory_grow(&bpe->ids, capacity, "tokenizer"));
    bpe->symbol_capacity = capacity;
    return STATUS_OK;
}

static enum status merge_piece(struct bpe *bpe, const char *piece, size_t length,
                               int32_t *id_count) {
    TRY(make_room(bpe, length));
    const int32_t count = lay_symbols(bpe, piece, length);
    merge_all(bpe, count);
    *id_count = 0;
    for (int32_t i = 0; i < count; i = bpe->symbols[i].next)
        bpe->ids[(*id_count)++] = bpe->symbols[i].id;
    return STATUS_OK;
}

static enum status encode_anew(struct bpe *bpe, const struct vocabulary *vocabulary,
                               const char *piece, size_t length, int32_t *id_count) {
    if (bpe->whole_words) {
        strbuf_clear(&bpe->letters);
        TRY(letters_from_bytes(piece, length, &bpe->letters));
        const int32_t id =
            vocabulary_find_model(vocabulary, bpe->letters.text, bpe->letters.length);
        if (id >= 0) {
            TRY(make_room(bpe, 1));
            bpe->ids[0] = id;
            *id_count = 1;
            return STATUS_OK;
        }
    }
    return merge_piece(bpe, piece, length, id_count);
}

enum status bpe_encode(struct bpe *bpe, const struct vocabulary *vocabulary, const char *piece,
                       size_t length, struct token_list *out) {
    int32_t count;
    if (length > WORD_BYTES) {
        TRY(encode_anew(bpe, vocabulary, piece, length, &count));
        return token_list_append(out, bpe->ids, count);
    }
    struct bpe_word *word = &bpe->words[hash_bytes(piece, length) & (WORD_PLACES - 1)];
    if (word->length != length || memcmp(word->bytes, piece, length) != 0) {
        TRY(encode_anew(bpe, vocabulary, piece, length, &count));
        if (count > WORD_IDS)
            return token_list_append(out, bpe->ids, count);
        *word = (struct bpe_word){.length = (uint8_t)length, .count = (uint8_t)count};
        memcpy(word->bytes, piece, length);
        memcpy(word->ids, bpe->ids, (size_t)count * sizeof *word->ids);
    }
    return token_list_append(out, word->ids, word->count);
}
