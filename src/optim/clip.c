/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/clip.h"

double clip_scale(double norm, double max_norm) {
    return max_norm > 0 && norm > max_norm ? max_norm / norm : 1;
}
