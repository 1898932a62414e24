/* SPDX-License-Identifier: Apache-2.0
 *
 * Clipping by the global norm.
 */
#ifndef OPTIM_CLIP_H
#define OPTIM_CLIP_H

/* What the gradient is multiplied by: min(1, max_norm / norm); 1 when max_norm is 0 (off). torch
 * divides by norm + 1e-6 instead. */
double clip_scale(double norm, double max_norm);

#endif
