/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/statistics.h"

/* C(n − c, k) / C(n, k) = Π_{i = n − c + 1}^{n} (1 − k / i): factors between 0 and 1, where the
 * binomials themselves would overflow. */
double estimate_pass_at(int64_t n, int64_t right, int64_t k) {
    double missed = 1.0;
    ASSERT(right >= 0 && right <= n && k >= 1 && k <= n);
    if (n - right < k)
        return 1.0;
    for (int64_t i = n - right + 1; i <= n; i++)
        missed *= 1.0 - (double)k / (double)i;
    return 1.0 - missed;
}

struct vote {
    struct span answer;
    int64_t sample;
};

/* By text, equal ones in the order of samples. */
static int by_answer(const void *a, const void *b) {
    const struct vote *x = a, *y = b;
    const size_t length = x->answer.length < y->answer.length ? x->answer.length : y->answer.length;
    const int order = length > 0 ? memcmp(x->answer.text, y->answer.text, length) : 0;
    if (order != 0)
        return order;
    if (x->answer.length != y->answer.length)
        return x->answer.length < y->answer.length ? -1 : 1;
    return x->sample < y->sample ? -1 : 1;
}

enum status estimate_majority(const struct span *answers, int64_t k, int64_t *chosen) {
    struct vote *votes;
    int64_t most = 0;
    ASSERT(k >= 1);
    TRY(memory_new(&votes, k, "votes"));
    for (int64_t i = 0; i < k; i++)
        votes[i] = (struct vote){answers[i], i};
    qsort(votes, (size_t)k, sizeof *votes, by_answer);
    for (int64_t begin = 0, end; begin < k; begin = end) {
        for (end = begin + 1; end < k && span_equal(votes[end].answer, votes[begin].answer);)
            end++;
        if (end - begin > most || (end - begin == most && votes[begin].sample < *chosen)) {
            most = end - begin;
            *chosen = votes[begin].sample;
        }
    }
    memory_release(&votes);
    return STATUS_OK;
}

struct estimate estimate_of(const double *problems, int64_t n) {
    const struct statistics all = statistics_of(problems, n);
    return (struct estimate){.mean = all.mean,
                             .error = n > 1 ? all.deviation / sqrt((double)n) : (double)NAN};
}
