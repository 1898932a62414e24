/* SPDX-License-Identifier: Apache-2.0
 * Promises: Philox equals Random123's known answers; the draws have the moments of their
 * distributions; streams and seeds differ. */
#include "base/random.h"

#include "check.h"

static void known_answers(void) {
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        random_philox(cases[i].counter, cases[i].key, out);
        for (int j = 0; j < 4; j++)
            CHECK_EQ(out[j], cases[i].out[j]);
    }
}

static void moments(void) {
    enum { N = 200000 };
    double mean = 0, square = 0, normal_mean = 0, normal_square = 0, fourth = 0;
    for (uint32_t i = 0; i < N; i++) {
        const double u = random_uniform(7, RANDOM_TEST, i, 0, 0, 0),
                     z = random_normal(7, RANDOM_TEST, 0, i, 0, 0);
        CHECK(u >= 0.0 && u < 1.0);
        mean += u / N;
        square += u * u / N;
        normal_mean += z / N;
        normal_square += z * z / N;
        fourth += z * z * z * z / N;
    }
    CHECK_NEAR(mean, 0.5, 4 * 0.2887 / sqrt(N));
    CHECK_NEAR(square, 1.0 / 3.0, 4 * 0.298 / sqrt(N));
    CHECK_NEAR(normal_mean, 0.0, 4 / sqrt(N));
    CHECK_NEAR(normal_square, 1.0, 4 * sqrt(2.0 / N));
    CHECK_NEAR(fourth, 3.0, 4 * sqrt(96.0 / N));
}

static void independence(void) {
    CHECK(random_bits(1, RANDOM_TEST, 0, 0, 0, 0) != random_bits(2, RANDOM_TEST, 0, 0, 0, 0));
    CHECK(random_bits(1, RANDOM_TEST, 0, 0, 0, 0) != random_bits(1, RANDOM_SAMPLE, 0, 0, 0, 0));
    CHECK(random_bits(1, RANDOM_TEST, 1, 0, 0, 0) != random_bits(1, RANDOM_TEST, 0, 1, 0, 0));
    CHECK_EQ(random_bits(5, RANDOM_TEST, 1, 2, 3, 4), random_bits(5, RANDOM_TEST, 1, 2, 3, 4));
}

int main(void) {
    known_answers();
    moments();
    independence();
    return CHECK_END();
}
