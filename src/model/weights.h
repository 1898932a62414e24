/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights of a model in the backend's layout, ready to be multiplied. Several models may share
 * one: a policy and its reference, which is the same without the adapter.
 *
 * Matrices are fp32 or bf16, norms and biases always fp32. The fp32 master, where all weights are
 * trained, belongs to the caller, who calls weights_refresh after changing it.
 */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "backend/backend.h"
#include "base/status.h"
#include "model/fingerprint.h"
#include "model/hparams.h"
#include "model/parameters.h"

struct weights;

/* Makes room for the weights of a model of that shape; none are loaded yet. dtype is that of the
 * matrices: fp32, or bf16 where their widths are even. The caller destroys them, after the models
 * that use them; the backend must outlive them. */
enum status weights_create(struct weights **weights, struct backend *backend,
                           const struct hparams *hparams, enum dtype dtype) MUST_USE;
void weights_destroy(struct weights **weights);

const struct hparams *weights_hparams(const struct weights *weights);
const struct parameter_set *weights_parameters(const struct weights *weights);
enum dtype weights_dtype(const struct weights *weights); /* of the matrices */

/* Reads the weights of a Hugging Face directory (one safetensors file or an index of several) into
 * the working copy and, when `master` (backend memory, as many floats as the parameters have) is
 * not NULL, into the flat fp32 vector as well; `fingerprint`, for as many tensors as there are
 * parameters, or NULL: it takes the checksums of its part. A missing tensor, a wrong shape, a number that is not
 * finite are sentences; extra tensors are logged. The files are mapped, and their pages given back
 * as they are read: beyond weights and master loading takes 32 rows for each thread. */
enum status weights_load(struct weights *weights, const char *directory, float *master,
                         struct fingerprint *fingerprint) MUST_USE;

/* One tensor of opened files in fp32, as weights_load reads it: `out` (rows × columns, host). */
struct safetensors;
enum status weights_read_tensor(const struct safetensors *files, const struct hparams *hparams,
                                const struct parameter *parameter, float *out) MUST_USE;

/* On a planned backend: refuses what weights_load refuses and books what it takes; reads nothing.
 * directory NULL: there are no files, so that nothing is refused and no page of theirs booked. */
enum status weights_plan_load(struct weights *weights, const char *directory,
                              float *master) MUST_USE;

/* The working copy becomes that of the flat fp32 vector (backend memory). */
enum status weights_refresh(struct weights *weights, const float *master) MUST_USE;

#endif
