/* SPDX-License-Identifier: Apache-2.0 */
#include "text/token_list.h"

#include <string.h>

#include "base/memory.h"

enum status token_list_append(struct token_list *list, const int32_t *ids, int64_t count) {
    const int64_t need = list->count + count;
    if (need > list->capacity) {
        const int64_t capacity = need < 2 * list->capacity ? 2 * list->capacity : need + 64;
        TRY(memory_grow(&list->ids, capacity, "token ids"));
        list->capacity = capacity;
    }
    if (count > 0)
        memcpy(list->ids + list->count, ids, (size_t)count * sizeof *ids);
    list->count = need;
    return STATUS_OK;
}
