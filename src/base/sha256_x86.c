/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 by x86's instructions (Gulley et al., "Intel SHA Extensions", 2013): sha256rnds2 does two
 * rounds on the state, which stands as (a, b, e, f) and (c, d, g, h), sha256msg1 and sha256msg2
 * make four words of the message schedule.
 */
#include "base/sha256_blocks.h"

#if defined __x86_64__

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

enum { LEAF_FEATURES = 7, EBX_SHA = 1 << 29 };

/* CPUID takes long in a virtual machine: it is asked once. */
bool sha256_has_instructions(void) {
    static atomic_int known; /* 0: not asked yet, 1: no, 2: yes */
    unsigned a, b, c, d;
    if (atomic_load(&known) == 0) {
        const bool has = __get_cpuid_count(LEAF_FEATURES, 0, &a, &b, &c, &d) != 0 &&
                         (b & EBX_SHA) != 0 && __builtin_cpu_supports("sse4.1");
        atomic_store(&known, has ? 2 : 1);
    }
    return atomic_load(&known) == 2;
}

/* Four rounds with words w of the schedule. */
WITH_SHA static inline void four_rounds(__m128i *abef, __m128i *cdgh, __m128i w, int round) {
    const void *constants = &sha256_round_constants[round];
    const __m128i sum = _mm_add_epi32(w, _mm_loadu_si128(constants));
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, sum);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

/* The four words behind the sixteen in w0 … w3. */
WITH_SHA static inline __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3) {
    const __m128i seven_back = _mm_alignr_epi8(w3, w2, 4);
    return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), seven_back), w3);
}

WITH_SHA static inline __m128i load_words(const unsigned char *data) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const void *at = data;
    return _mm_shuffle_epi8(_mm_loadu_si128(at), big_endian);
}

WITH_SHA static inline void one_block(__m128i *abef, __m128i *cdgh, const unsigned char *data) {
    const __m128i abef_before = *abef, cdgh_before = *cdgh;
    __m128i w0 = load_words(data), w1 = load_words(data + 16), w2 = load_words(data + 32),
            w3 = load_words(data + 48);
    for (int round = 0;; round += 16) {
        four_rounds(abef, cdgh, w0, round);
        four_rounds(abef, cdgh, w1, round + 4);
        four_rounds(abef, cdgh, w2, round + 8);
        four_rounds(abef, cdgh, w3, round + 12);
        if (round == 48)
            break;
        w0 = next_words(w0, w1, w2, w3);
        w1 = next_words(w1, w2, w3, w0);
        w2 = next_words(w2, w3, w0, w1);
        w3 = next_words(w3, w0, w1, w2);
    }
    *abef = _mm_add_epi32(*abef, abef_before);
    *cdgh = _mm_add_epi32(*cdgh, cdgh_before);
}

WITH_SHA void sha256_blocks_instructions(uint32_t state[8], const unsigned char *data,
                                         size_t count) {
    void *low = state, *high = state + 4;
    const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(low), 0xb1),
                  efgh = _mm_shuffle_epi32(_mm_loadu_si128(high), 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (; count > 0; count--, data += 64)
        one_block(&abef, &cdgh, data);
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(low, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(high, _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool sha256_has_instructions(void) {
    return false;
}

void sha256_blocks_instructions(uint32_t state[8], const unsigned char *data, size_t count) {
    sha256_blocks_plain(state, data, count);
}

#endif
