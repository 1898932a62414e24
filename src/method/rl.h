/* SPDX-License-Identifier: Apache-2.0
 *
 * Reinforcement learning on the model's own answers: prompts from the data, groups of answers drawn
 * from the policy, rewards, advantages (GRPO and its relatives; which gate and update follow is not
 * this file's business).
 */
#ifndef METHOD_RL_H
#define METHOD_RL_H

#include "method/method.h"

extern const struct method method_rl;

#endif
