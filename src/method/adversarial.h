/* SPDX-License-Identifier: Apache-2.0
 *
 * A generator against a discriminator on one model: it continues windows of texts, a head on its
 * hidden states tells what it has written from how the texts go on, and how real that takes a
 * completion for is the completion's reward. Both losses are of one gradient (run/discrimination.h).
 */
#ifndef METHOD_ADVERSARIAL_H
#define METHOD_ADVERSARIAL_H

#include "method/method.h"

extern const struct method method_adversarial;

#endif
