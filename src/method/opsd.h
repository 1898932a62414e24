/* SPDX-License-Identifier: Apache-2.0
 *
 * On-policy self-distillation (algorithms of the paper "OPSD"; siyan-zhao/OPSD): the model answers a
 * problem; the same model with the solution before it is the teacher, and how far its distribution
 * is from the student's at every token of the answer is the loss. Nothing is rewarded.
 */
#ifndef METHOD_OPSD_H
#define METHOD_OPSD_H

#include "method/method.h"

extern const struct method method_opsd;

#endif
