/* SPDX-License-Identifier: Apache-2.0
 *
 * The backend "cuda": one GPU for each rank, or with GRADUS_CUDA=HOST the host in place of one. For
 * main, and for tests: backend_add(&cuda_backend).
 */
#ifndef CUDA_BACKEND_CUDA_H
#define CUDA_BACKEND_CUDA_H

#include "backend/backend.h"

extern const struct backend_choice cuda_backend;

/* Which of the visible GPUs a rank takes, given its number and the number of ranks on its node: its
 * own number, where all are visible; the only one, where the site shows each rank one. Refuses more
 * ranks than GPUs. local_rank −1: unknown. */
enum status cuda_choose(int local_rank, int local_size, int visible, int *index) MUST_USE;

#endif
