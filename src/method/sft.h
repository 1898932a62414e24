/* SPDX-License-Identifier: Apache-2.0
 *
 * Supervised fine-tuning on (prompt, answer) pairs: the answers come from the data, followed by what
 * ends a turn (data/prompt.h), in groups of one; the loss is −log π of their tokens.
 */
#ifndef METHOD_SFT_H
#define METHOD_SFT_H

#include "method/method.h"

extern const struct method method_sft;

#endif
