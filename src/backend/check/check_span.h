/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operations read and write: for each operation of backend.h one function that lists its
 * arguments, in one place (check_ops.c), and the guard that holds an operation to its list.
 */
#ifndef BACKEND_CHECK_CHECK_SPAN_H
#define BACKEND_CHECK_CHECK_SPAN_H

#include <stdbool.h>

#include "backend/check/check_memory.h"

enum check_access { CHECK_READ, CHECK_WRITE, CHECK_UPDATE };
enum check_kind { CHECK_FLOAT, CHECK_DOUBLE, CHECK_INT32, CHECK_INT64, CHECK_BF16, CHECK_OPAQUE };

/* One argument: `rows` rows of row_bytes, stride_bytes apart. */
struct check_span {
    const char *name;
    void *slot; /* where the operation finds the address: a field of its argument structure */
    char *original;
    int64_t rows;
    size_t row_bytes, stride_bytes;
    enum check_access access;
    enum check_kind kind;
    unsigned may_share; /* bit i: may be the same memory as span i */
    int shares;         /* the span whose copy this one uses, or −1 */
    bool shared;        /* another span uses this one's copy */
    char *block, *copy; /* sentinels and the copy between them */
};

/* A page of the cache: in the layer in use it may change at `slots` (bit i: position i), elsewhere,
 * up to the end of that layer, nothing may. */
struct check_page {
    float *memory, *before;
    uint64_t slots;
};

enum { CHECK_SPANS = 24 };
struct check_list {
    const char *op;
    const struct check_memory *memory;
    struct check_span spans[CHECK_SPANS];
    int count;
    struct check_page *pages;
    int64_t page_count, page_capacity;
    int64_t page_layer, page_K, page_D;
    bool finite;        /* every number among the inputs is */
    enum status status; /* of the declarations: the first refusal */
};

/* Declares rows × columns elements with a row stride (in elements); `slot` is the address of the
 * pointer. True when the memory can be read. */
struct check_shape {
    int64_t rows, columns, stride;
};
bool check_add(struct check_list *list, const char *name, void *slot, enum check_kind kind,
               enum check_access access, struct check_shape shape);
/* The same for an argument that may be NULL, and for one that is host memory. */
bool check_add_optional(struct check_list *list, const char *name, void *slot, enum check_kind kind,
                        enum check_access access, struct check_shape shape);
bool check_add_host(struct check_list *list, const char *name, void *slot, enum check_kind kind,
                    enum check_access access, struct check_shape shape);
/* Host memory of `bytes` bytes that is only read. */
bool check_add_bytes(struct check_list *list, const char *name, void *slot, size_t bytes);

/* Allows span `name` to be the same memory as span `other`. */
void check_may_share(struct check_list *list, const char *name, const char *other);

/* The page at `page` is used in one layer, where the positions of `slots` are written. */
struct check_page_shape {
    int64_t layer, K, D;
};
void check_add_page(struct check_list *list, float *page, struct check_page_shape shape,
                    uint64_t slots);

/* Notes a refusal of the declarations. */
#define CHECK_REFUSE(list, ...)                                                                    \
    ((list)->status =                                                                              \
         (list)->status == STATUS_OK ? FAIL(STATUS_DEFECT, __VA_ARGS__) : (list)->status)

/* Puts copies into the argument structure; before the operation. */
enum status check_begin(struct check_list *list) MUST_USE;
/* Looks at what the operation did, hands its outputs on, gives the copies back; `status` is the
 * operation's own. */
enum status check_end(struct check_list *list, enum status status) MUST_USE;

#endif
