/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "backend/check/check.h"
#include "backend/cpu/cpu.h"
#include "base/memory.h"

/* The choices, in the order in which they are listed. */
enum { CHOICES_MAX = 4 };
static const struct backend_choice cpu_choice = {"cpu", cpu_open, cpu_plan_open},
                                   check_choice = {"check", check_open, cpu_plan_open};
static const struct backend_choice *choices[CHOICES_MAX] = {&cpu_choice, &check_choice};
static int choice_count = 2;

void backend_add(const struct backend_choice *choice) {
    for (int i = 0; i < choice_count; i++)
        if (choices[i] == choice)
            return;
    ASSERT(choice_count < CHOICES_MAX);
    choices[choice_count++] = choice;
}

/* Every operation's place in the table, so that a hole can be named. */
#define SLOT(op) {#op, offsetof(struct backend_ops, op)},
static const struct {
    const char *name;
    size_t offset;
} slots[] = {SLOT(allocate) SLOT(release) SLOT(reserve) SLOT(commit) SLOT(upload) SLOT(download)
                 SLOT(clear) SLOT(synchronize) SLOT(close) SLOT(weight_bytes) SLOT(activations)
                     SLOT(attention_prepare) SLOT(attention_discard) SLOT(decode_prepare)
                         SLOT(decode_discard) SLOT(decode_rows) SLOT(repeat) SLOT(algorithms_get)
                             SLOT(algorithms_set) BACKEND_OPERATIONS(SLOT)};

/* The name of the first operation that the table lacks, or NULL. */
static const char *empty_slot(const struct backend_ops *ops) {
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        void (*operation)(void);
        memcpy(&operation, (const unsigned char *)ops + slots[i].offset, sizeof operation);
        if (operation == NULL)
            return slots[i].name;
    }
    return NULL;
}

static enum status unknown(const char *name) {
    char known[256] = "", quoted[STATUS_QUOTE_MAX];
    size_t used = 0;
    for (int i = 0; i < choice_count; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s\"%s\"", i > 0 ? ", " : "",
                                 choices[i]->name);
    return FAIL(STATUS_INPUT, "there is no backend \"%s\"; the known ones are %s",
                status_quote(quoted, name, SIZE_MAX), known);
}

static enum status open_named(struct backend *backend, const char *name, int threads, bool plans) {
    if (threads < 0)
        return FAIL(STATUS_INPUT, "a backend cannot have %d threads; 0 takes every core", threads);
    for (int i = 0; i < choice_count; i++) {
        if (strcmp(choices[i]->name, name) != 0)
            continue;
        *backend = (struct backend){.ops = NULL};
        enum status status = (plans ? choices[i]->plan : choices[i]->open)(backend, threads);
        const char *hole = status == STATUS_OK ? empty_slot(backend->ops) : NULL;
        if (hole != NULL)
            status = FAIL(STATUS_DEFECT, "the backend \"%s\" has nothing for the operation \"%s\"",
                          name, hole);
        if (status != STATUS_OK)
            backend_close(backend);
        return status;
    }
    return unknown(name);
}

enum status backend_open(struct backend *backend, const char *name, int threads) {
    return open_named(backend, name, threads, false);
}

enum status backend_plan(struct backend *backend, const char *name, int threads) {
    return open_named(backend, name, threads, true);
}

void backend_close(struct backend *backend) {
    if (backend->ops != NULL && backend->ops->close != NULL)
        backend->ops->close(backend);
    *backend = (struct backend){.ops = NULL};
}

enum status backend_allocate(struct backend *backend, void *pointer, size_t count, size_t size,
                             const char *label) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return FAIL(STATUS_MEMORY, "%zu elements of %zu bytes for %s are more than can be counted",
                    count, size, label);
    void *memory = NULL;
    TRY(backend->ops->allocate(backend, &memory, bytes, label));
    memcpy(pointer, &memory, sizeof memory);
    return STATUS_OK;
}

void backend_release(struct backend *backend, void *pointer) {
    void *memory;
    memcpy(&memory, pointer, sizeof memory);
    if (memory != NULL)
        backend->ops->release(backend, memory);
    memory = NULL;
    memcpy(pointer, &memory, sizeof memory);
}

enum status weight_create(struct backend *backend, struct weight *weight, int64_t rows,
                          int64_t columns, enum dtype dtype, const char *label) {
    *weight = (struct weight){.rows = rows, .columns = columns, .dtype = dtype};
    if (rows < 1 || columns < 1)
        return FAIL(STATUS_INPUT, "%s cannot have %lld rows and %lld columns", label,
                    (long long)rows, (long long)columns);
    const size_t bytes = backend->ops->weight_bytes(rows, columns, dtype);
    if (bytes == 0)
        return FAIL(STATUS_INPUT, "%s is to be kept as %s, which the backend \"%s\" cannot hold",
                    label, dtype_name(dtype), backend->ops->name);
    return backend->ops->allocate(backend, &weight->panels, bytes, label);
}

void weight_release(struct backend *backend, struct weight *weight) {
    if (weight->panels != NULL)
        backend->ops->release(backend, weight->panels);
    *weight = (struct weight){.panels = NULL};
}

struct weight weight_view(const struct weight *weight, int64_t begin, int64_t rows) {
    struct weight view = *weight;
    const size_t skipped = (size_t)begin * (size_t)weight->columns * dtype_bytes(weight->dtype);
    view.panels = (unsigned char *)weight->panels + skipped;
    view.rows = rows;
    view.view_begin = weight->view_begin + begin;
    view.view_of = weight->view_of > 0 ? weight->view_of : weight->rows;
    return view;
}

/* --- plans of attention --- */

static enum status check_segments(const struct attention_plan_args *args, int64_t *T) {
    const struct segment *all = args->segments;
    *T = 0;
    for (int64_t s = 0; s < args->segment_count; s++) {
        const struct segment *segment = &all[s];
        const bool child = segment->parent >= 0;
        if (segment->start != *T || segment->length < 0 || segment->parent >= s ||
            (child && all[segment->parent].parent >= 0))
            return FAIL(STATUS_DEFECT, "segment %lld of a packed batch is out of order",
                        (long long)s);
        *T += segment->length;
    }
    return STATUS_OK;
}

enum status attention_plan_make(struct backend *backend, struct attention_plan *plan,
                                const struct attention_plan_args *args) {
    int64_t T;
    TRY(check_segments(args, &T));
    if (args->segment_count > plan->segment_capacity) {
        const int64_t twice = 2 * plan->segment_capacity,
                      capacity = twice > args->segment_count ? twice : args->segment_count;
        TRY(memory_grow(&plan->segments, capacity, "segments of a batch"));
        plan->segment_capacity = capacity;
    }
    if (args->segment_count > 0)
        memcpy(plan->segments, args->segments,
               (size_t)args->segment_count * sizeof *plan->segments);
    plan->segment_count = args->segment_count;
    plan->T = T;
    plan->H = args->H;
    plan->K = args->K;
    plan->D = args->D;
    return backend->ops->attention_prepare(backend, plan);
}

void attention_plan_release(struct backend *backend, struct attention_plan *plan) {
    if (plan->state != NULL)
        backend->ops->attention_discard(backend, plan);
    memory_release(&plan->segments);
    *plan = (struct attention_plan){.state = NULL};
}
