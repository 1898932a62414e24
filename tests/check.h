/* SPDX-License-Identifier: Apache-2.0
 *
 * What a test needs: a failed check prints the place and both values, and the process then ends
 * with 1. A test that cannot run here (data or a tool is missing) says so and ends with 77, which
 * ctest reports as skipped.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static int check_failures;

#define CHECK_FAILED(...)                                                                          \
    do {                                                                                           \
        check_failures++;                                                                          \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                            \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fputc('\n', stderr);                                                                       \
    } while (0)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            CHECK_FAILED("%s does not hold", #condition);                                          \
    } while (0)

/* Integers. */
#define CHECK_EQ(have, want)                                                                       \
    do {                                                                                           \
        const long long have_ = (long long)(have), want_ = (long long)(want);                      \
        if (have_ != want_)                                                                        \
            CHECK_FAILED("%s = %lld, expected %lld", #have, have_, want_);                         \
    } while (0)

/* Real numbers, |have − want| ≤ tolerance; a NaN fails. */
#define CHECK_NEAR(have, want, tolerance)                                                          \
    do {                                                                                           \
        const double have_ = (double)(have), want_ = (double)(want);                               \
        if (!(fabs(have_ - want_) <= (double)(tolerance)))                                         \
            CHECK_FAILED("%s = %.9g, expected %.9g within %.3g", #have, have_, want_,              \
                         (double)(tolerance));                                                     \
    } while (0)

#define CHECK_TEXT(have, want)                                                                     \
    do {                                                                                           \
        const char *have_ = (have), *want_ = (want);                                               \
        if (strcmp(have_, want_) != 0)                                                             \
            CHECK_FAILED("%s = \"%s\", expected \"%s\"", #have, have_, want_);                     \
    } while (0)

/* A call that must succeed, and one that must fail with a status and a sentence that contains
 * `words`. */
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        if ((call) != STATUS_OK)                                                                   \
            CHECK_FAILED("%s failed: %s (%s)", #call, status_sentence(), status_place());          \
    } while (0)
#define CHECK_STATUS(call, want, words)                                                            \
    do {                                                                                           \
        const enum status have_ = (call);                                                          \
        if (have_ != (want))                                                                       \
            CHECK_FAILED("%s gave status %d, expected %d: %s", #call, (int)have_, (int)(want),     \
                         status_sentence());                                                       \
        else if (strstr(status_sentence(), (words)) == NULL)                                       \
            CHECK_FAILED("%s said \"%s\", expected \"%s\" in it", #call, status_sentence(),        \
                         (words));                                                                 \
    } while (0)

/* return CHECK_END(); at the end of main. */
#define CHECK_END()                                                                                \
    (check_failures == 0 ? 0 : (fprintf(stderr, "%d check(s) failed\n", check_failures), 1))

#define CHECK_SKIP(...)                                                                            \
    do {                                                                                           \
        printf("skipped: ");                                                                       \
        printf(__VA_ARGS__);                                                                       \
        putchar('\n');                                                                             \
        exit(77);                                                                                  \
    } while (0)

#endif
