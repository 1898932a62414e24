/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep/effects.h"

#include <math.h>

static double mean_of(const double *values, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += values[i];
    return sum / n;
}

static double squares_of(const double *values, int n) {
    const double mean = mean_of(values, n);
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (values[i] - mean) * (values[i] - mean);
    return sum;
}

void effects_of(const struct design *design, const struct responses *responses,
                struct effects *effects) {
    const int n = design->runs * responses->repeats, centres = responses->centres;
    double squares = centres > 1 ? squares_of(responses->centre, centres) : 0;
    for (int run = 0; run < design->runs; run++)
        squares += squares_of(responses->factorial + run * responses->repeats, responses->repeats);
    *effects = (struct effects){
        .factorial_mean = mean_of(responses->factorial, n),
        .centre_mean = centres > 0 ? mean_of(responses->centre, centres) : (double)NAN,
        .freedom = design->runs * (responses->repeats - 1) + (centres > 1 ? centres - 1 : 0),
    };
    effects->curvature = effects->factorial_mean - effects->centre_mean;
    effects->deviation = effects->freedom > 0 ? sqrt(squares / effects->freedom) : (double)NAN;
    effects->effect_error = 2 * effects->deviation / sqrt(n);
    effects->curvature_error =
        centres > 0 ? effects->deviation * sqrt(1.0 / n + 1.0 / centres) : (double)NAN;
}

double effects_word(const struct design *design, const struct responses *responses,
                    uint32_t letters) {
    double sum = 0;
    for (int run = 0; run < design->runs; run++)
        sum += design_product(design, run, letters) *
               mean_of(responses->factorial + run * responses->repeats, responses->repeats);
    return 2 * sum / design->runs;
}
