/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights of a model with an adapter added: W + γ B A, one tensor at a time.
 */
#ifndef RUN_ADAPTER_MERGE_H
#define RUN_ADAPTER_MERGE_H

#include "base/status.h"
#include "model/parameters.h"
#include "run/model_directory.h"

struct adapter_merge;

/* Opens the model that the adapter of `config` (adapter_config.json) adapts: in the directory
 * `base`, or where that is NULL in the one that config names. `read` gives the factors by their
 * peft names. The caller closes it. */
enum status adapter_merge_open(struct adapter_merge **merge, const char *base,
                               const struct model_file *config,
                               enum status (*read)(void *context, const struct parameter *parameter,
                                                   float *out),
                               void *context) MUST_USE;
void adapter_merge_close(struct adapter_merge **merge);

/* The tensors of the model. */
const struct parameter_set *adapter_merge_parameters(const struct adapter_merge *merge);

/* One of them: fits the `read` of struct model_directory. Sums are taken in double and rounded
 * once. */
enum status adapter_merge_read(void *merge, const struct parameter *parameter, float *out) MUST_USE;

#endif
