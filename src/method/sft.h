/* SPDX-License-Identifier: Apache-2.0
 *
 * Supervised fine-tuning on pairs of prompt and answer, or on conversations: the answers come from
 * the data, followed by what ends a turn, in groups of one (data/supervised.h); the loss is −log π
 * of their tokens. A conversation is one answer, whose turns stand apart.
 */
#ifndef METHOD_SFT_H
#define METHOD_SFT_H

#include "method/method.h"

extern const struct method method_sft;

#endif
