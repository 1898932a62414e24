/* SPDX-License-Identifier: Apache-2.0
 *
 * What a long computation calls between its parts: whoever waits for it says there that it lives,
 * and may end it.
 */
#ifndef BASE_PULSE_H
#define BASE_PULSE_H

#include <stddef.h>

#include "base/status.h"

/* `beat` is quick and called often. The computation gives up at once with any status but OK. */
struct pulse {
    enum status (*beat)(void *context); /* NULL: nobody waits */
    void *context;
};

/* `pulse` may be NULL as well. */
static inline MUST_USE enum status pulse_beat(const struct pulse *pulse) {
    return pulse != NULL && pulse->beat != NULL ? pulse->beat(pulse->context) : STATUS_OK;
}

#endif
