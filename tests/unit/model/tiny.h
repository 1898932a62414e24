/* SPDX-License-Identifier: Apache-2.0
 *
 * The tiny models of tests/data/model: their shapes are stored, their weights and tokens are
 * functions of a name and an index that make_expected.py computes with the same bits.
 */
#ifndef TESTS_UNIT_MODEL_TINY_H
#define TESTS_UNIT_MODEL_TINY_H

#include "model/model.h"

enum { TINY_COUNT = 4, TINY_BACKENDS = 2 };
extern const char *const tiny_names[TINY_COUNT];       /* folders of tests/data/model */
extern const char *const tiny_backends[TINY_BACKENDS]; /* "cpu", "check" */

#define TINY_DATA "tests/data/model"

/* n numbers in [-0.5, 0.5), exact in fp32. */
void tiny_hashed(const char *name, float *out, int64_t n);

/* n token ids below V. */
void tiny_tokens(const char *name, int64_t V, int32_t *out, int64_t n);

/* The flat vector of all parameters (host). */
void tiny_fill(const struct parameter *parameters, int64_t count, float *out);

/* Of the numbers of a parameter, as of its gradient: norm, and product with the fixed vector of that name. */
void tiny_project(const struct parameter *p, const float *values, double *norm, double *product);

/* A model of that name with its weights, which also go to *master (backend memory, the caller
 * releases it) unless that is NULL. The caller closes it with tiny_close. */
enum status tiny_open(struct model **model, struct backend *backend, const char *name,
                      bool recompute, float **master) MUST_USE;

/* A model of its own weights, which are empty; refuses like model_create. tiny_close gives both back. */
enum status tiny_create(struct model **model, struct backend *backend,
                        const struct hparams *hparams,
                        const struct model_settings *settings) MUST_USE;
void tiny_close(struct model **model);

/* The group and the text of make_expected.py. */
enum status tiny_batch(struct batch *batch, int64_t V) MUST_USE;

/* A gradient sink that adds on the host, counts its calls, and checks that they are those that the
 * model announces. */
struct tiny_gradient {
    struct backend *backend;
    struct model *model;
    float *values; /* (elements) */
    int64_t elements, calls;
    float *piece; /* (elements) */
};
enum status tiny_gradient_create(struct tiny_gradient *gradient, struct model *model,
                                 struct backend *backend) MUST_USE;
void tiny_gradient_release(struct tiny_gradient *gradient);
struct gradient_sink tiny_gradient_sink(struct tiny_gradient *gradient);

#endif
