/* SPDX-License-Identifier: Apache-2.0
 * Promises: blocks are zeroed and aligned, growing keeps what was there, totals go back to zero,
 * too much is a sentence; each label has its account, and a pretended block is booked like any other
 * without being there. */
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

static struct memory_account account_of(const char *label) {
    static struct memory_account accounts[MEMORY_LABELS];
    const int count = memory_accounts(accounts, MEMORY_LABELS);
    for (int i = 0; i < count; i++)
        if (strcmp(accounts[i].label, label) == 0)
            return accounts[i];
    return (struct memory_account){.bytes = -1, .peak_bytes = -1};
}

static void accounts(void) {
    char *a = NULL, *b = NULL;
    CHECK_OK(memory_new(&a, 100, "apples"));
    CHECK_OK(memory_new(&b, 30, "apples"));
    memory_release(&a);
    CHECK_EQ(account_of("apples").bytes, 30);
    CHECK_EQ(account_of("apples").peak_bytes, 130);
    memory_watch();
    CHECK_EQ(account_of("apples").peak_bytes, 30);
    const int64_t held = memory_totals().bytes;
    CHECK_OK(memory_pretend(&a, 1 << 20, 1 << 20, "pears")); /* 1 TiB */
    CHECK_EQ(account_of("pears").bytes, INT64_C(1) << 40);
    CHECK_EQ(memory_totals().bytes - held, INT64_C(1) << 40);
    CHECK_EQ(account_of("pears").at_peak_bytes, INT64_C(1) << 40);
    CHECK_EQ(account_of("apples").at_peak_bytes, 30);
    CHECK(a != NULL);
    memory_release(&a);
    CHECK_EQ(account_of("pears").bytes, 0);
    CHECK_EQ(account_of("pears").peak_bytes, INT64_C(1) << 40);
    memory_release(&b);
    CHECK_OK(memory_new(&b, 1000, "apples")); /* most of this label, not of all */
    CHECK_EQ(account_of("apples").peak_bytes, 1000);
    CHECK_EQ(account_of("apples").at_peak_bytes, 30);
    memory_release(&b);
    CHECK(memory_resident_bytes() > 0);
}

/* More labels than accounts: what is left over shares the last. */
static void many_labels(void) {
    char *blocks[MEMORY_LABELS + 10], label[16];
    const int64_t held = memory_totals().bytes;
    for (int i = 0; i < MEMORY_LABELS + 10; i++) {
        snprintf(label, sizeof label, "label %d", i);
        CHECK_OK(memory_new(&blocks[i], 1, label));
    }
    struct memory_account all[MEMORY_LABELS];
    int64_t sum = 0;
    CHECK_EQ(memory_accounts(all, MEMORY_LABELS), MEMORY_LABELS);
    for (int i = 0; i < MEMORY_LABELS; i++)
        sum += all[i].bytes;
    CHECK_EQ(sum, memory_totals().bytes);
    CHECK(account_of("others").bytes >= 10);
    for (int i = 0; i < MEMORY_LABELS + 10; i++)
        memory_release(&blocks[i]);
    CHECK_EQ(memory_totals().bytes, held);
}

/* A block that grows where it stands: only what is committed counts, and it is zero. */
static void committed(void) {
    const int64_t held = memory_totals().bytes;
    unsigned char *block = NULL, *at;
    CHECK_OK(memory_reserve(&block, (size_t)1 << 40, "plums")); /* 1 TiB of addresses */
    CHECK_EQ((uintptr_t)block % 64, 0);
    CHECK_EQ(memory_totals().bytes, held);
    at = block;
    for (size_t bytes = 1000; bytes <= 1000000; bytes *= 10) {
        CHECK_OK(memory_commit(block, bytes));
        CHECK_EQ(account_of("plums").bytes, (int64_t)bytes);
        CHECK_EQ(block[bytes - 1], 0);
        CHECK_EQ(block[999], bytes == 1000 ? 0 : 7);
        block[999] = 7;
    }
    CHECK_OK(memory_commit(block, 10)); /* never less */
    CHECK_EQ(account_of("plums").bytes, 1000000);
    CHECK(at == block);
    memory_release(&block);
    CHECK(block == NULL);
    CHECK_EQ(account_of("plums").bytes, 0);
    CHECK_OK(memory_pretend(&block, 0, 1, "plums"));
    CHECK_OK(memory_pretend_more(block, (size_t)1 << 40));
    CHECK_EQ(account_of("plums").bytes, INT64_C(1) << 40);
    memory_release(&block);
    CHECK_EQ(memory_totals().bytes, held);
    CHECK_STATUS(memory_reserve(&block, ((size_t)1 << 46) + 1, "moon"), STATUS_MEMORY, "moon");
}

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
    accounts();
    committed();
    many_labels();
    return CHECK_END();
}
