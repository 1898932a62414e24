/* SPDX-License-Identifier: Apache-2.0 */
#include "mauve/recent.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "mauve/pca.h"

struct mauve_recent mauve_recent_of(int64_t written, int64_t group_size, int64_t d) {
    return (struct mauve_recent){
        .groups = (written + group_size - 1) / group_size, .group_size = group_size, .d = d};
}

enum status mauve_recent_init(struct mauve_recent *recent, int64_t written, int64_t group_size,
                              int64_t d) {
    *recent = mauve_recent_of(written, group_size, d);
    return memory_new(&recent->features, mauve_recent_size(recent), "features of generations");
}

void mauve_recent_release(struct mauve_recent *recent) {
    memory_release(&recent->features);
}

int64_t mauve_recent_size(const struct mauve_recent *recent) {
    return recent->groups * mauve_recent_stride(recent);
}

int64_t mauve_recent_written(const struct mauve_recent *recent) {
    return (recent->count < recent->groups ? recent->count : recent->groups) * recent->group_size;
}

void mauve_recent_add(struct mauve_recent *recent, const float *group) {
    const int64_t n = mauve_recent_stride(recent);
    memcpy(recent->features + recent->count % recent->groups * n, group, (size_t)n * sizeof *group);
    recent->count++;
}

/* The features [first, last) of each group, from the oldest on, that are some, to `out`; how many. */
static int64_t gather(const struct mauve_recent *recent, int64_t first, int64_t last, float *out) {
    const int64_t d = recent->d, oldest = recent->count - recent->groups;
    int64_t n = 0;
    for (int64_t g = oldest > 0 ? oldest : 0; g < recent->count; g++)
        for (int64_t i = first; i < last; i++) {
            const float *feature =
                recent->features + g % recent->groups * mauve_recent_stride(recent) + i * d;
            if (!isnan(feature[0]))
                memcpy(out + n++ * d, feature, (size_t)d * sizeof *out);
        }
    return n;
}

enum status mauve_recent_compare(const struct mauve_recent *recent,
                                 const struct mauve_settings *settings, struct mauve_report *report,
                                 int64_t *written) {
    struct mauve_features both = {.d = recent->d};
    float *features = NULL;
    enum status status = STATUS_OK;
    *written = 0;
    TRY(memory_new(&features, mauve_recent_size(recent), "features that are compared"));
    both.p_n = gather(recent, 0, 1, features);
    both.q_n = gather(recent, 1, 1 + recent->group_size, features + both.p_n * recent->d);
    both.p = features;
    both.q = features + both.p_n * recent->d;
    if (both.p_n > 0 && both.q_n > 0 && both.p_n + both.q_n >= mauve_buckets(&both, settings)) {
        *written = both.q_n;
        status = mauve_of_features(&both, settings, report);
    }
    memory_release(&features);
    return status;
}

/* The copy; both in double; matrix and vectors of the smaller side; coordinates in double and single. */
int64_t mauve_recent_scratch(const struct mauve_recent *recent) {
    const int64_t n = recent->groups * (1 + recent->group_size), d = recent->d;
    return (int64_t)(sizeof(float) + sizeof(double)) * n * d + pca_scratch(n, d);
}
