/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of gates. It knows each by its one name and nothing of its inside.
 */
#include "objective/gate.h"

#include <stddef.h>
#include <string.h>

static const struct gate *const gates[] = {
    &gate_clip, &gate_sigmoid, &gate_erf, &gate_arctan, &gate_softsign, &gate_none,
};

const struct gate *const *gate_list(int *count) {
    *count = (int)(sizeof gates / sizeof gates[0]);
    return gates;
}

const struct gate *gate_find(const char *name) {
    int count;
    const struct gate *const *list = gate_list(&count);
    for (int i = 0; i < count; i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}

double gate_argument(const struct gate_settings *settings, double ratio, double advantage,
                     double *tau) {
    *tau = advantage > 0 ? settings->tau_pos : settings->tau_neg;
    return *tau * (ratio - 1);
}
