/* SPDX-License-Identifier: Apache-2.0
 *
 * The last texts of a generator with those that they stand for, as features: groups of one real text and
 * so many that were written in its place, of which the newest are kept and compared.
 */
#ifndef MAUVE_RECENT_H
#define MAUVE_RECENT_H

#include <stdbool.h>

#include "mauve/mauve.h"

struct mauve_recent {
    int64_t groups, group_size,
        d; /* that there is room for; written texts of a group; of a feature */
    /* (groups, 1 + group_size, d): group i, counted from 0 on, stands at i modulo `groups`, its real text
     * first; NaN is the feature of a text without a token, which takes no part. */
    float *features;
    int64_t count; /* groups so far, those that have made room included */
};

/* For as many whole groups as it takes for so many written texts; without memory, and with it, which is
 * released also after a failure. */
struct mauve_recent mauve_recent_of(int64_t written, int64_t group_size, int64_t d);
enum status mauve_recent_init(struct mauve_recent *recent, int64_t written, int64_t group_size,
                              int64_t d) MUST_USE;
void mauve_recent_release(struct mauve_recent *recent);

/* Numbers of a group, of all groups there is room for, and what a feature that is none begins with. */
static inline int64_t mauve_recent_stride(const struct mauve_recent *recent) {
    return (1 + recent->group_size) * recent->d;
}
int64_t mauve_recent_size(const struct mauve_recent *recent);

/* Written texts that it holds, those without a feature among them. */
int64_t mauve_recent_written(const struct mauve_recent *recent);

/* The newest group, in the place of the oldest where there is no room. */
void mauve_recent_add(struct mauve_recent *recent, const float *group);

/* MAUVE of the real texts (p) and the written ones (q), both in their order. *written: how many of these
 * have taken part; 0 where the texts do not fill the buckets yet, and nothing was compared. */
enum status mauve_recent_compare(const struct mauve_recent *recent,
                                 const struct mauve_settings *settings, struct mauve_report *report,
                                 int64_t *written) MUST_USE;

/* Most bytes that a comparison of full room takes besides. */
int64_t mauve_recent_scratch(const struct mauve_recent *recent);

#endif
