/* SPDX-License-Identifier: Apache-2.0 */
#include "run/step_name.h"

#include <stdio.h>
#include <string.h>

const char *step_name(char out[STEP_NAME_BYTES], int64_t step) {
    snprintf(out, STEP_NAME_BYTES, "step-%06lld.h5", (long long)step);
    return out;
}

int64_t step_name_parse(const char *name) {
    char again[STEP_NAME_BYTES];
    long long step;
    if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9' ||
        strlen(name) >= STEP_NAME_BYTES || sscanf(name, "step-%18lld", &step) != 1)
        return -1;
    return strcmp(step_name(again, (int64_t)step), name) == 0 ? (int64_t)step : -1;
}
