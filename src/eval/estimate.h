/* SPDX-License-Identifier: Apache-2.0
 *
 * What verdicts on samples say of a model: pass@k, maj@k, and how sure that is.
 */
#ifndef EVAL_ESTIMATE_H
#define EVAL_ESTIMATE_H

#include <stdint.h>

#include "answer/span.h"
#include "base/status.h"

/* pass@k of one problem, of whose n samples `right` are right: the probability that k of them, drawn
 * without repetition, hold a right one, 1 − C(n − right, k) / C(n, k). It is an unbiased estimate of
 * the probability that one of k fresh samples is right (Chen et al., "Evaluating large language models
 * trained on code", 2021, eq. 1). 1 ≤ k ≤ n. */
double estimate_pass_at(int64_t n, int64_t right, int64_t k);

/* The sample whose answer the vote of the first k chooses: the first that gives the most frequent
 * text; among equally frequent ones that which was seen first. An empty text votes too. */
enum status estimate_majority(const struct span *answers, int64_t k, int64_t *chosen) MUST_USE;

/* A mean over problems and its standard error. Problems are independent draws from what a benchmark
 * stands for, samples of one problem are not: so the error is that of the means of problems, sqrt(s² /
 * n) with s² over n − 1. NaN for a single problem. */
struct estimate {
    double mean, error;
};
struct estimate estimate_of(const double *problems, int64_t n);

#endif
