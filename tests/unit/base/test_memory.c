/* SPDX-License-Identifier: Apache-2.0
 * Promises: blocks are zeroed and aligned, growing keeps what was there, totals go back to zero,
 * too much is a sentence. */
#include "base/memory.h"

#include "check.h"

int main(void) {
    const struct memory_totals before = memory_totals();
    int *values = NULL;
    CHECK_OK(memory_new(&values, 10, "values"));
    CHECK_EQ((uintptr_t)values % 64, 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(values[i], 0);
        values[i] = i;
    }
    CHECK_EQ(memory_totals().bytes - before.bytes, 40);
    CHECK_OK(memory_grow(&values, 1000, "values"));
    CHECK_EQ(values[9], 9);
    CHECK_EQ(values[10], 0);
    CHECK_EQ(values[999], 0);
    CHECK_EQ(memory_totals().bytes - before.bytes, 4000);
    CHECK(memory_totals().allocations - before.allocations == 2);
    memory_release(&values);
    CHECK(values == NULL);
    memory_release(&values);
    CHECK_EQ(memory_totals().bytes, before.bytes);
    CHECK_STATUS(memory_allocate(&values, SIZE_MAX / 2, 4, "moon"), STATUS_MEMORY, "moon");
    CHECK(memory_peak_resident_bytes() > 0);
    return CHECK_END();
}
