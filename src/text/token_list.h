/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of token ids that grows. It begins zeroed and owns its ids; memory_release(&list.ids).
 */
#ifndef TEXT_TOKEN_LIST_H
#define TEXT_TOKEN_LIST_H

#include <stdint.h>

#include "base/status.h"

struct token_list {
    int32_t *ids;
    int64_t count, capacity;
};

enum status token_list_append(struct token_list *list, const int32_t *ids, int64_t count) MUST_USE;

#endif
