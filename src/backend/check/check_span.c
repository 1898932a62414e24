/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/check/check_span.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* Bytes of sentinels before and behind each copy; a multiple of the alignment. */
enum { SENTINELS = 256, SENTINEL = 0xa5, POISON = 0xff };

static size_t element_bytes(enum check_kind kind) {
    static const size_t bytes[] = {[CHECK_FLOAT] = 4, [CHECK_DOUBLE] = 8, [CHECK_INT32] = 4,
                                   [CHECK_INT64] = 8, [CHECK_BF16] = 2,   [CHECK_OPAQUE] = 1};
    return bytes[kind];
}

/* --- declarations --- */

static size_t extent(const struct check_span *span) {
    return span->rows > 0 && span->row_bytes > 0
               ? (size_t)(span->rows - 1) * span->stride_bytes + span->row_bytes
               : 0;
}

static bool add(struct check_list *list, const struct check_span *declared, bool host) {
    struct check_span span = *declared;
    memcpy(&span.original, span.slot, sizeof span.original);
    if (list->status != STATUS_OK || extent(&span) == 0)
        return false;
    if (span.stride_bytes < span.row_bytes)
        CHECK_REFUSE(list, "check: %s: the rows of argument %s are longer than their stride",
                     list->op, span.name);
    else if (host && span.original == NULL)
        CHECK_REFUSE(list, "check: %s: argument %s is NULL", list->op, span.name);
    else if (!host)
        list->status =
            check_memory_range(list->memory, span.original, extent(&span), list->op, span.name);
    if (list->status != STATUS_OK)
        return false;
    ASSERT(list->count < CHECK_SPANS);
    list->spans[list->count++] = span;
    return true;
}

static struct check_span declare(const char *name, void *slot, enum check_kind kind,
                                 enum check_access access, struct check_shape shape) {
    const size_t size = element_bytes(kind);
    return (struct check_span){.name = name,
                               .slot = slot,
                               .rows = shape.rows,
                               .row_bytes = (size_t)shape.columns * size,
                               .stride_bytes =
                                   (size_t)(shape.rows > 1 ? shape.stride : shape.columns) * size,
                               .access = access,
                               .kind = kind,
                               .shares = -1};
}

bool check_add(struct check_list *list, const char *name, void *slot, enum check_kind kind,
               enum check_access access, struct check_shape shape) {
    const struct check_span span = declare(name, slot, kind, access, shape);
    return add(list, &span, false);
}

bool check_add_optional(struct check_list *list, const char *name, void *slot, enum check_kind kind,
                        enum check_access access, struct check_shape shape) {
    char *original;
    memcpy(&original, slot, sizeof original);
    return original != NULL && check_add(list, name, slot, kind, access, shape);
}

bool check_add_host(struct check_list *list, const char *name, void *slot, enum check_kind kind,
                    enum check_access access, struct check_shape shape) {
    const struct check_span span = declare(name, slot, kind, access, shape);
    return add(list, &span, true);
}

bool check_add_bytes(struct check_list *list, const char *name, void *slot, size_t bytes) {
    return check_add_host(list, name, slot, CHECK_OPAQUE, CHECK_READ,
                          (struct check_shape){1, (int64_t)bytes, (int64_t)bytes});
}

static int find_span(const struct check_list *list, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->spans[i].name, name) == 0)
            return i;
    return -1;
}

void check_may_share(struct check_list *list, const char *name, const char *other) {
    const int i = find_span(list, name), j = find_span(list, other);
    if (i >= 0 && j >= 0)
        list->spans[i].may_share |= 1u << j;
}

/* --- pages --- */

/* Floats of a page up to the end of the layer in use. */
static int64_t page_floats(const struct check_list *list) {
    return (list->page_layer + 1) * list->page_K * 2 * CACHE_PAGE * list->page_D;
}

/* Whether element i of a page belongs to one of `slots` in the layer in use. */
static bool in_slots(const struct check_list *list, uint64_t slots, int64_t i) {
    const int64_t D = list->page_D, at = i % (2 * CACHE_PAGE * D);
    const int64_t position =
        at < CACHE_PAGE * D ? at / (32 * D) * 32 + at % 32 : (at - CACHE_PAGE * D) / D;
    const int64_t layer = i / (list->page_K * 2 * CACHE_PAGE * D);
    return layer == list->page_layer && (slots >> position & 1);
}

static enum status keep_page(struct check_list *list, float *memory, uint64_t slots) {
    const size_t bytes = (size_t)page_floats(list) * sizeof(float);
    for (int64_t i = 0; i < list->page_count; i++)
        if (list->pages[i].memory == memory) {
            list->pages[i].slots |= slots;
            return STATUS_OK;
        }
    if (list->page_count == list->page_capacity) {
        const int64_t capacity = list->page_capacity > 0 ? 2 * list->page_capacity : 16;
        TRY(memory_grow(&list->pages, capacity, "pages under check"));
        list->page_capacity = capacity;
    }
    struct check_page *page = &list->pages[list->page_count];
    *page = (struct check_page){.memory = memory, .slots = slots};
    TRY(memory_allocate(&page->before, bytes, 1, "a page under check"));
    memcpy(page->before, memory, bytes);
    list->page_count++;
    return STATUS_OK;
}

void check_add_page(struct check_list *list, float *page, struct check_page_shape shape,
                    uint64_t slots) {
    list->page_layer = shape.layer;
    list->page_K = shape.K;
    list->page_D = shape.D;
    if (list->status == STATUS_OK)
        list->status = check_memory_range(
            list->memory, page, (size_t)page_floats(list) * sizeof(float), list->op, "pages");
    if (list->status == STATUS_OK)
        list->status = keep_page(list, page, slots);
}

/* Fills what is to be written with NaN. */
static void poison_page(const struct check_list *list, const struct check_page *page) {
    for (int64_t i = 0; i < page_floats(list); i++)
        if (in_slots(list, page->slots, i))
            memset(page->memory + i, POISON, sizeof(float));
}

static enum status look_at_page(const struct check_list *list, const struct check_page *page) {
    for (int64_t i = 0; i < page_floats(list); i++) {
        const bool own = in_slots(list, page->slots, i);
        if (!own && memcmp(page->memory + i, page->before + i, sizeof(float)) != 0)
            return FAIL(STATUS_DEFECT,
                        "check: %s changed element %lld of a page, which is not its to write",
                        list->op, (long long)i);
        if (own && list->finite && !isfinite(page->memory[i]))
            return FAIL(STATUS_DEFECT,
                        "check: %s: element %lld of a page is %g although all inputs are finite",
                        list->op, (long long)i, (double)page->memory[i]);
    }
    return STATUS_OK;
}

/* --- overlaps --- */

/* Whether two arguments have an element in common; rows of the same stride may interleave. */
static bool overlap(const struct check_span *a, const struct check_span *b) {
    const uintptr_t x = (uintptr_t)a->original, y = (uintptr_t)b->original;
    if (x + extent(a) <= y || y + extent(b) <= x)
        return false;
    if (a->stride_bytes != b->stride_bytes || a->rows < 2 || b->rows < 2)
        return true;
    const size_t stride = a->stride_bytes;
    const size_t shift = y >= x ? (y - x) % stride : (stride - (x - y) % stride) % stride;
    return shift < a->row_bytes || shift + b->row_bytes > stride;
}

static bool same_place(const struct check_span *a, const struct check_span *b) {
    return a->original == b->original && a->rows == b->rows && a->row_bytes == b->row_bytes &&
           (a->stride_bytes == b->stride_bytes || a->rows < 2);
}

static enum status resolve_overlaps(struct check_list *list) {
    for (int i = 0; i < list->count; i++)
        for (int j = 0; j < i; j++) {
            struct check_span *a = &list->spans[i], *b = &list->spans[j];
            if ((a->access == CHECK_READ && b->access == CHECK_READ) || !overlap(a, b))
                continue;
            if (!(a->may_share >> j & 1) || !same_place(a, b))
                return FAIL(STATUS_DEFECT, "check: %s: arguments %s and %s overlap", list->op,
                            b->name, a->name);
            a->shares = j;
            a->access = CHECK_UPDATE;
            b->shared = true;
        }
    return STATUS_OK;
}

/* --- before the operation --- */

static char *row_of(const struct check_span *span, char *base, int64_t row) {
    return base + (size_t)row * span->stride_bytes;
}

static double element(const struct check_span *span, const char *row, size_t i) {
    float single;
    double value = 0;
    if (span->kind == CHECK_FLOAT) {
        memcpy(&single, row + i * sizeof single, sizeof single);
        return (double)single;
    }
    if (span->kind == CHECK_BF16) {
        dtype_to_f32(DTYPE_BF16, row + 2 * i, &single, 1);
        return (double)single;
    }
    if (span->kind == CHECK_DOUBLE)
        memcpy(&value, row + i * sizeof value, sizeof value);
    return value;
}

/* The index of the first element that is not finite, −1 when there is none. */
static int64_t find_nonfinite(const struct check_span *span, char *base) {
    const size_t columns = span->row_bytes / element_bytes(span->kind);
    if (span->kind != CHECK_FLOAT && span->kind != CHECK_DOUBLE && span->kind != CHECK_BF16)
        return -1;
    for (int64_t r = 0; r < span->rows; r++)
        for (size_t i = 0; i < columns; i++)
            if (!isfinite(element(span, row_of(span, base, r), i)))
                return r * (int64_t)columns + (int64_t)i;
    return -1;
}

static enum status make_copy(struct check_list *list, struct check_span *span) {
    if (span->shares >= 0) {
        span->copy = list->spans[span->shares].copy;
    } else {
        const size_t bytes = extent(span);
        TRY(memory_allocate(&span->block, bytes + 2 * SENTINELS, 1, "a copy under check"));
        memset(span->block, SENTINEL, bytes + 2 * SENTINELS);
        span->copy = span->block + SENTINELS;
        memcpy(span->copy, span->original, bytes);
    }
    if (span->access == CHECK_WRITE)
        for (int64_t r = 0; r < span->rows; r++)
            memset(row_of(span, span->copy, r), POISON, span->row_bytes);
    else if (find_nonfinite(span, span->copy) >= 0)
        list->finite = false;
    memcpy(span->slot, &span->copy, sizeof span->copy);
    return STATUS_OK;
}

static void give_back(struct check_list *list) {
    for (int i = 0; i < list->count; i++)
        memory_release(&list->spans[i].block);
    for (int64_t i = 0; i < list->page_count; i++)
        memory_release(&list->pages[i].before);
    memory_release(&list->pages);
}

enum status check_begin(struct check_list *list) {
    enum status status = list->status;
    if (status == STATUS_OK)
        status = resolve_overlaps(list);
    for (int i = 0; i < list->count && status == STATUS_OK; i++)
        status = make_copy(list, &list->spans[i]);
    for (int64_t i = 0; i < list->page_count && status == STATUS_OK; i++)
        poison_page(list, &list->pages[i]);
    if (status != STATUS_OK)
        give_back(list);
    return status;
}

/* --- behind the operation --- */

static enum status look_at_sentinels(const struct check_list *list, const struct check_span *span) {
    const char *before = span->block, *behind = span->copy + extent(span);
    for (int64_t i = 0; i < SENTINELS; i++) {
        if ((unsigned char)before[i] != SENTINEL)
            return FAIL(STATUS_DEFECT, "check: %s wrote %lld bytes before argument %s", list->op,
                        (long long)(SENTINELS - i), span->name);
        if ((unsigned char)behind[i] != SENTINEL)
            return FAIL(STATUS_DEFECT, "check: %s wrote %lld bytes past the end of argument %s",
                        list->op, (long long)(i + 1), span->name);
    }
    return STATUS_OK;
}

/* Between the rows nothing may change; an input may not change at all. */
static enum status look_for_changes(const struct check_list *list, const struct check_span *span) {
    const bool constant = span->access == CHECK_READ && !span->shared;
    const size_t bytes = extent(span);
    if (span->stride_bytes == span->row_bytes &&
        (!constant || memcmp(span->copy, span->original, bytes) == 0))
        return STATUS_OK;
    for (size_t i = 0; i < bytes; i++) {
        const bool gap = i % span->stride_bytes >= span->row_bytes;
        if ((gap || constant) && span->copy[i] != span->original[i])
            return FAIL(STATUS_DEFECT, "check: %s wrote to %s argument %s, at byte %zu", list->op,
                        gap ? "the gap between rows of" : "the read-only", span->name, i);
    }
    return STATUS_OK;
}

static enum status look_at_numbers(const struct check_list *list, const struct check_span *span) {
    const int64_t at = list->finite ? find_nonfinite(span, span->copy) : -1;
    if (at < 0)
        return STATUS_OK;
    const int64_t columns = (int64_t)(span->row_bytes / element_bytes(span->kind));
    const char *row = row_of(span, span->copy, at / columns);
    return FAIL(STATUS_DEFECT,
                "check: %s: element %lld of argument %s is %g although all inputs are finite",
                list->op, (long long)at, span->name, element(span, row, (size_t)(at % columns)));
}

/* Elements that still hold the poison, bit for bit, were not written. */
static enum status look_for_poison(const struct check_list *list, const struct check_span *span) {
    char poison[8];
    const size_t size = element_bytes(span->kind);
    memset(poison, POISON, sizeof poison);
    for (int64_t r = 0; r < span->rows && span->kind != CHECK_OPAQUE; r++)
        for (size_t i = 0; i < span->row_bytes; i += size)
            if (memcmp(row_of(span, span->copy, r) + i, poison, size) == 0)
                return FAIL(
                    STATUS_DEFECT, "check: %s did not write element %lld of argument %s", list->op,
                    (long long)(r * (int64_t)(span->row_bytes / size) + (int64_t)(i / size)),
                    span->name);
    return STATUS_OK;
}

static enum status look_at_span(const struct check_list *list, const struct check_span *span) {
    if (span->shares < 0) {
        TRY(look_at_sentinels(list, span));
        TRY(look_for_changes(list, span));
    }
    if (span->access == CHECK_WRITE)
        TRY(look_for_poison(list, span));
    return span->access == CHECK_READ ? STATUS_OK : look_at_numbers(list, span);
}

static void hand_on(const struct check_span *span) {
    for (int64_t r = 0; r < span->rows; r++)
        memcpy(row_of(span, span->original, r), row_of(span, span->copy, r), span->row_bytes);
}

enum status check_end(struct check_list *list, enum status status) {
    for (int i = 0; i < list->count && status == STATUS_OK; i++)
        status = look_at_span(list, &list->spans[i]);
    for (int64_t i = 0; i < list->page_count && status == STATUS_OK; i++)
        status = look_at_page(list, &list->pages[i]);
    for (int i = 0; i < list->count && status == STATUS_OK; i++)
        if (list->spans[i].access != CHECK_READ)
            hand_on(&list->spans[i]);
    give_back(list);
    return status;
}
