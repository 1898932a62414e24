/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run came to by a metric, worked out by hand: the mean of its last values and the area under it, of steps and of
 * evaluations, with steps that have no value and rows that are still to come.
 */
#include "run/diagnostics_last.h"

#include <math.h>
#include <stdio.h>

#include "check.h"

static struct h5 *write_and_open(const char *path) {
    const double metric[] = {1.0, 2.0, NAN, 4.0, 8.0, 100.0},
                 sparse[] = {NAN, 3.0, NAN, NAN, NAN, 7.0}, steps[] = {0.0, 2.0, 5.0, NAN},
                 right[] = {0.1, 0.3, 0.6, 0.9}, nothing[] = {NAN, NAN, NAN, NAN, NAN, 1.0};
    struct h5 *h5;
    CHECK_OK(h5_create(&h5, H5_FORMAT_LIVE));
    CHECK_OK(h5_put_integer(h5, "/step/valid", 5));
    CHECK_OK(h5_put_list(h5, "/step/a/metric", H5_KIND_F64, 6, metric));
    CHECK_OK(h5_put_list(h5, "/step/sparse", H5_KIND_F64, 6, sparse));
    CHECK_OK(h5_put_list(h5, "/step/nothing", H5_KIND_F64, 6, nothing));
    CHECK_OK(h5_put_list(h5, "/eval/set/step", H5_KIND_F64, 4, steps));
    CHECK_OK(h5_put_list(h5, "/eval/set/pass_at_1", H5_KIND_F64, 4, right));
    CHECK_OK(h5_save(&h5, path));
    CHECK_OK(h5_open(&h5, path));
    return h5;
}

static void check(const struct h5 *h5, const char *metric, enum diagnostics_form form, int64_t last,
                  double want) {
    double have = NAN;
    CHECK_OK(diagnostics_last(h5, metric, form, last, &have));
    CHECK_NEAR(have, want, 1e-14);
}

static void refused(const struct h5 *h5, const char *metric, enum diagnostics_form form,
                    int64_t last, const char *words) {
    double have;
    CHECK_STATUS(diagnostics_last(h5, metric, form, last, &have), STATUS_INPUT, words);
}

int main(void) {
    const enum diagnostics_form mean = DIAGNOSTICS_MEAN, area = DIAGNOSTICS_AREA;
    const char *const path = "diagnostics_last.h5";
    struct h5 *h5 = write_and_open(path);
    check(h5, "a/metric", mean, 0, 15.0 / 4.0);
    check(h5, "a/metric", mean, 1, 8.0);
    check(h5, "a/metric", mean, 3, 14.0 / 3.0);
    check(h5, "sparse", mean, 2, 3.0);
    check(h5, "eval/set/pass_at_1", mean, 0, 0.6);
    check(h5, "eval/set/pass_at_1", mean, 2, 0.45);
    /* 1 to 2 over one step, 2 to 4 over two, 4 to 8 over one; then from steps above 5 - last. */
    check(h5, "a/metric", area, 0, 1.5 + 6.0 + 6.0);
    check(h5, "a/metric", area, 5, 13.5);
    check(h5, "a/metric", area, 4, 12.0);
    check(h5, "a/metric", area, 3, 6.0);
    /* 0.1 to 0.3 over two steps, 0.3 to 0.6 over three. */
    check(h5, "eval/set/pass_at_1", area, 0, 0.4 + 1.35);
    check(h5, "eval/set/pass_at_1", area, 4, 1.35);
    refused(h5, "a/metric", area, 1, "and an area takes two");
    refused(h5, "sparse", area, 0, "it has one value");
    refused(h5, "nothing", mean, 0, "it has no value");
    refused(h5, "nothing", area, 0, "it has no value");
    refused(h5, "none", mean, 0, "it has no metric none");
    refused(h5, "valid", mean, 0, "it has no metric valid");
    refused(h5, "eval/other/pass_at_1", area, 0, "it has no metric eval/other");
    (void)h5_close(&h5);
    remove(path);
    return CHECK_END();
}
