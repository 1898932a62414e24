/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/blas_choice.h"

#include <string.h>

#include "base/log.h"

/* A list: version of the library, how many there are, and of each N, K, ldb, its flags, the words of
 * its algorithm. */
enum { HEAD_WORDS = 2, KEY_WORDS = 4, CHOICE_WORDS = KEY_WORDS + BLAS_ALGORITHM_WORDS };
_Static_assert(HEAD_WORDS + BLAS_CHOICES_MAX * CHOICE_WORDS <= BLAS_WORDS, "choices have room");

static bool same(const struct blas_key *x, const struct blas_key *y) {
    return x->N == y->N && x->K == y->K && x->ldb == y->ldb && x->dtype == y->dtype &&
           x->y_dtype == y->y_dtype && x->a_transposed == y->a_transposed &&
           x->b_transposed == y->b_transposed && x->bias == y->bias && x->residual == y->residual;
}

bool blas_aligned(const struct product_launch *p) {
    const int64_t in = (int64_t)dtype_bytes(p->dtype), out = (int64_t)dtype_bytes(p->y_dtype);
    const uintptr_t addresses = (uintptr_t)p->a | (uintptr_t)p->b | (uintptr_t)p->y |
                                (uintptr_t)p->residual | (uintptr_t)p->bias;
    return addresses % 16 == 0 && p->lda * in % 16 == 0 && p->ldb * in % 16 == 0 &&
           p->ldy * out % 16 == 0;
}

struct blas_choice *blas_choice_of(struct blas_choices *choices, const struct product_launch *p) {
    const struct blas_key key = {.N = p->whole > 0 ? p->whole : p->N,
                                 .K = p->a_transposed ? p->M : p->K,
                                 .ldb = p->ldb,
                                 .dtype = p->dtype,
                                 .y_dtype = p->y_dtype,
                                 .a_transposed = p->a_transposed,
                                 .b_transposed = p->b_transposed,
                                 .bias = p->bias != NULL,
                                 .residual = p->residual != NULL};
    for (int i = 0; i < choices->count; i++)
        if (same(&choices->list[i].key, &key))
            return &choices->list[i];
    if (choices->count == BLAS_CHOICES_MAX)
        return NULL;
    struct blas_choice *choice = &choices->list[choices->count++];
    *choice = (struct blas_choice){.key = key};
    return choice;
}

/* --- as numbers --- */

enum flag {
    FLAG_A_TRANSPOSED = 1,
    FLAG_B_TRANSPOSED = 2,
    FLAG_BIAS = 4,
    FLAG_RESIDUAL = 8,
    FLAG_USABLE = 16,
    FLAG_BF16 = 32,
    FLAG_Y_BF16 = 64,
};

static int64_t flags_of(const struct blas_choice *choice) {
    const struct blas_key *key = &choice->key;
    return (key->a_transposed ? FLAG_A_TRANSPOSED : 0) |
           (key->b_transposed ? FLAG_B_TRANSPOSED : 0) | (key->bias ? FLAG_BIAS : 0) |
           (key->residual ? FLAG_RESIDUAL : 0) | (choice->usable ? FLAG_USABLE : 0) |
           (key->dtype == DTYPE_BF16 ? FLAG_BF16 : 0) |
           (key->y_dtype == DTYPE_BF16 ? FLAG_Y_BF16 : 0);
}

static struct blas_key key_of(const int64_t *words) {
    const int64_t flags = words[3];
    return (struct blas_key){.N = words[0],
                             .K = words[1],
                             .ldb = words[2],
                             .dtype = flags & FLAG_BF16 ? DTYPE_BF16 : DTYPE_F32,
                             .y_dtype = flags & FLAG_Y_BF16 ? DTYPE_BF16 : DTYPE_F32,
                             .a_transposed = (flags & FLAG_A_TRANSPOSED) != 0,
                             .b_transposed = (flags & FLAG_B_TRANSPOSED) != 0,
                             .bias = (flags & FLAG_BIAS) != 0,
                             .residual = (flags & FLAG_RESIDUAL) != 0};
}

void blas_choices_write(const struct blas_choices *choices, int64_t version,
                        int64_t words[BLAS_WORDS]) {
    int64_t *at = words + HEAD_WORDS, count = 0;
    memset(words, 0, BLAS_WORDS * sizeof *words);
    for (int i = 0; i < choices->count; i++) {
        const struct blas_choice *choice = &choices->list[i];
        if (!choice->made)
            continue;
        at[0] = choice->key.N;
        at[1] = choice->key.K;
        at[2] = choice->key.ldb;
        at[3] = flags_of(choice);
        memcpy(at + KEY_WORDS, choice->algorithm, sizeof choice->algorithm);
        at += CHOICE_WORDS;
        count++;
    }
    words[0] = count > 0 ? version : 0;
    words[1] = count;
}

#define ANEW                                                                                       \
    "its products are taken by others, and the numbers of this run may differ in their last bits " \
    "from those of one that was never interrupted"

void blas_choices_read(struct blas_choices *choices, int64_t version,
                       const int64_t words[BLAS_WORDS]) {
    const int64_t count = words[1];
    *choices = (struct blas_choices){.count = 0};
    if (count == 0)
        return;
    if (words[0] != version || count < 0 || count > BLAS_CHOICES_MAX) {
        log_warning("cuda",
                    "the checkpoint has the algorithms of version %lld of the library of products, "
                    "here is %lld: " ANEW,
                    (long long)words[0], (long long)version);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t *from = words + HEAD_WORDS + i * CHOICE_WORDS;
        struct blas_choice *choice = &choices->list[i];
        *choice = (struct blas_choice){.key = key_of(from),
                                       .usable = (from[3] & FLAG_USABLE) != 0,
                                       .made = true,
                                       .kept = true};
        memcpy(choice->algorithm, from + KEY_WORDS, sizeof choice->algorithm);
    }
    choices->count = (int)count;
}

void blas_choice_lost(const struct blas_choice *choice) {
    log_warning("cuda",
                "the library does not offer the checkpoint's algorithm for products of %lld by "
                "%lld: " ANEW,
                (long long)choice->key.N, (long long)choice->key.K);
}
