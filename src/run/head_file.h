/* SPDX-License-Identifier: Apache-2.0
 *
 * discriminator.safetensors: the head of an adversarial run, beside the adapter or the model that it
 * was trained with. It is ours: transformers and peft pass it by.
 */
#ifndef RUN_HEAD_FILE_H
#define RUN_HEAD_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "model/discriminator.h"
#include "model/hparams.h"
#include "run/tensor_file.h"

#define HEAD_FILE_NAME "discriminator.safetensors"

/* Writes the file into a directory; none where the source has no tensors. */
enum status head_file_write(const struct tensor_source *head, const char *directory) MUST_USE;

/* The head of the directory to its part of the flat vector (backend memory). *found is false where
 * it has none; a tensor that is missing, of another shape or not finite is a sentence. */
enum status head_file_load(const char *directory, const struct hparams *hparams,
                           const struct discriminator *discriminator, struct backend *backend,
                           float *master, bool *found) MUST_USE;

/* Parameters with those of a head behind the others, each part in its order: *sorted
 * (memory_release), of which the last *heads are a head's. */
enum status head_file_split(const struct parameter *parameters, int64_t count,
                            struct parameter **sorted, int64_t *heads) MUST_USE;

#endif
