/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"

#include <math.h>

#include "reward/program_line.h"

/* A line of a reward program: a finite reward and no complaint, a complaint, or a sentence. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct program_answer answer;
    const enum status status = program_line_read((const char *)data, size, "judge", 7, &answer);
    if (status == STATUS_OK && answer.says[0] == '\0' && !isfinite(answer.reward))
        abort();
    return fuzz_end(status, 0);
}
