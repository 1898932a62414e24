/* SPDX-License-Identifier: Apache-2.0
 *
 * The host as a device. Memory is poisoned when it is given and has guards behind it; copies look
 * whether their end on the device is such memory.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "cuda/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "cuda/host/faults.h"
#include "cuda/host/queue.h"

enum { POISON = 0xff, GUARD_BYTES = 256, GUARD = 0xa5 };
enum { ERROR_MEMORY = 2 }; /* cudaErrorMemoryAllocation */

/* --- memory --- */

struct block {
    struct block *next;
    unsigned char *begin, *memory; /* what is given; what the system gave */
    size_t bytes, most;            /* that are memory; that are addresses of a reserved one, or 0 */
};

/* Of all devices of the process: a kernel's launcher, which knows no device, asks for it. */
static struct block *blocks;

static struct block *block_of(const void *address, size_t bytes) {
    const unsigned char *p = address;
    for (struct block *block = blocks; block != NULL; block = block->next)
        if (p >= block->begin && p + bytes <= block->begin + block->bytes)
            return block;
    return NULL;
}

bool queue_is_device_memory(const void *address) {
    return address == NULL || block_of(address, 0) != NULL;
}

bool device_memory_touched(const void *address) {
    return block_of(address, 1) != NULL;
}

static enum status check_device(const void *address, size_t bytes, const char *what) {
    if (block_of(address, bytes) != NULL)
        return STATUS_OK;
    return FAIL(STATUS_DEFECT, "%s: %zu bytes at %p do not lie in one block of the device", what,
                bytes, address);
}

static size_t taken_bytes(void) {
    size_t taken = 0;
    for (const struct block *block = blocks; block != NULL; block = block->next)
        taken += block->bytes;
    return taken;
}

enum status device_used(const struct device *device, int64_t *bytes) {
    (void)device;
    *bytes = (int64_t)taken_bytes();
    return STATUS_OK;
}

/* GRADUS_HOST_MIB: a device that has no more than so many MiB. */
static enum status check_room(size_t more, const char *label) {
    const char *text = getenv("GRADUS_HOST_MIB");
    const size_t most = text != NULL ? (size_t)strtoull(text, NULL, 10) << 20 : SIZE_MAX;
    const size_t taken = taken_bytes();
    if (more <= most && taken <= most - more)
        return STATUS_OK;
    return FAIL(STATUS_MEMORY,
                "no memory on the device for %zu bytes of %s; %zu of its %zu are taken", more,
                label, taken, most);
}

enum status device_allocate(struct device *device, void *pointer, size_t bytes, const char *label) {
    (void)device;
    TRY(check_room(bytes, label));
    struct block *block = calloc(1, sizeof *block);
    if (block != NULL)
        block->memory = malloc(bytes + 2 * GUARD_BYTES);
    if (block == NULL || block->memory == NULL) {
        free(block);
        return FAIL(STATUS_MEMORY, "no memory for %zu bytes of %s", bytes, label);
    }
    const size_t past = (uintptr_t)block->memory % GUARD_BYTES;
    block->begin = block->memory + (past > 0 ? GUARD_BYTES - past : 0);
    block->bytes = bytes;
    memset(block->begin, POISON, bytes);
    memset(block->begin + bytes, GUARD, GUARD_BYTES);
    block->next = blocks;
    blocks = block;
    memcpy(pointer, &block->begin, sizeof block->begin);
    return STATUS_OK;
}

static void drain_all(const struct device *device);

void device_release(struct device *device, void *pointer) {
    unsigned char *begin;
    memcpy(&begin, pointer, sizeof begin);
    if (begin == NULL)
        return;
    drain_all(device);
    struct block **place = &blocks;
    while (*place != NULL && (*place)->begin != begin)
        place = &(*place)->next;
    struct block *block = *place;
    ASSERT(block != NULL);
    for (size_t i = 0; i < GUARD_BYTES; i++)
        ASSERT(begin[block->bytes + i] == GUARD); /* something wrote behind the block */
    *place = block->next;
    free(block->memory);
    free(block);
    memset(pointer, 0, sizeof begin);
}

enum status device_reserve(struct device *device, void *pointer, size_t most, const char *label) {
    (void)device;
    struct block *block = calloc(1, sizeof *block);
    void *pages =
        mmap(NULL, most + 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == NULL || pages == MAP_FAILED) {
        free(block);
        return FAIL(STATUS_MEMORY, "no addresses for %zu bytes of %s", most, label);
    }
    block->begin = block->memory = pages;
    block->most = most + 1;
    block->next = blocks;
    blocks = block;
    memcpy(pointer, &pages, sizeof pages);
    return STATUS_OK;
}

enum status device_commit(struct device *device, void *memory, size_t bytes) {
    (void)device;
    struct block *block = block_of(memory, 0);
    ASSERT(block != NULL && block->begin == memory && bytes < block->most);
    if (bytes <= block->bytes)
        return STATUS_OK;
    TRY(check_room(bytes - block->bytes, "a pool"));
    if (mprotect(memory, bytes, PROT_READ | PROT_WRITE) != 0)
        return FAIL(STATUS_MEMORY, "the machine cannot give %zu bytes of memory", bytes);
    memset(block->begin + block->bytes, POISON, bytes - block->bytes);
    block->bytes = bytes;
    return STATUS_OK;
}

void device_unreserve(struct device *device, void *pointer) {
    unsigned char *begin;
    memcpy(&begin, pointer, sizeof begin);
    if (begin == NULL)
        return;
    drain_all(device);
    struct block **place = &blocks;
    while (*place != NULL && (*place)->begin != begin)
        place = &(*place)->next;
    struct block *block = *place;
    ASSERT(block != NULL);
    *place = block->next;
    munmap(block->memory, block->most);
    free(block);
    memset(pointer, 0, sizeof begin);
}

enum status device_allocate_pinned(struct device *device, void *pointer, size_t bytes,
                                   const char *label) {
    (void)device;
    void *memory = calloc(1, bytes);
    memcpy(pointer, &memory, sizeof memory);
    return memory != NULL ? STATUS_OK
                          : FAIL(STATUS_MEMORY, "no memory for %zu bytes of %s", bytes, label);
}

void device_release_pinned(struct device *device, void *pointer) {
    void *memory;
    drain_all(device);
    memcpy(&memory, pointer, sizeof memory);
    free(memory);
    memset(pointer, 0, sizeof memory);
}

/* --- streams --- */

/* Work in the order in which it came; of a graph too. */
struct work {
    struct work *next;
    struct queue_task task;
    struct stream *other; /* an event's: first that stream goes on to `until` */
    int64_t until;
};

struct list {
    struct work *first, **end;
};

struct stream {
    struct stream *next;
    struct list work, captured;
    int64_t added, done; /* pieces of work so far */
    bool captures;
};

struct state {
    struct stream *streams;
};

static void list_clear(struct list *list) {
    while (list->first != NULL) {
        struct work *work = list->first;
        list->first = work->next;
        if (work->task.release != NULL)
            work->task.release(work->task.closure);
        free(work);
    }
    list->end = &list->first;
}

/* What the stand-in needs for itself is not booked: a GPU would not need it. */
static enum status own(void *pointer, size_t size) {
    void *memory = calloc(1, size);
    memcpy(pointer, &memory, sizeof memory);
    return memory != NULL ? STATUS_OK
                          : FAIL(STATUS_MEMORY, "no memory for the books of the device");
}

static enum status add(struct stream *stream, struct work **added) {
    TRY(own(added, sizeof **added));
    struct list *list = stream->captures ? &stream->captured : &stream->work;
    *list->end = *added;
    list->end = &(*added)->next;
    if (!stream->captures)
        stream->added++;
    return STATUS_OK;
}

int queue_push(void *stream, struct queue_task task) {
    struct work *work = NULL;
    if (add(stream, &work) != STATUS_OK) {
        if (task.release != NULL)
            task.release(task.closure);
        return ERROR_MEMORY;
    }
    work->task = task;
    return 0;
}

/* Does what the stream keeps, up to the piece with that number. */
static void drain(struct stream *stream, int64_t until) {
    while (stream->done < until && stream->work.first != NULL) {
        struct work *work = stream->work.first;
        if (work->other != NULL)
            drain(work->other, work->until);
        if (work->task.run != NULL)
            work->task.run(work->task.closure);
        if (work->task.release != NULL)
            work->task.release(work->task.closure);
        stream->work.first = work->next;
        if (work->next == NULL)
            stream->work.end = &stream->work.first;
        free(work);
        stream->done++;
    }
}

static void drain_all(const struct device *device) {
    const struct state *state = device->state; /* NULL: it was not opened */
    for (struct stream *stream = state != NULL ? state->streams : NULL; stream != NULL;
         stream = stream->next)
        drain(stream, stream->added);
}

enum status device_synchronize(struct device *device, void *stream) {
    (void)device;
    struct stream *self = stream;
    if (self->captures)
        return FAIL(STATUS_DEFECT, "a stream that is captured cannot be waited for");
    drain(self, self->added);
    return STATUS_OK;
}

enum status device_stream_create(struct device *device, void **stream) {
    struct state *state = device->state;
    struct stream *self = NULL;
    TRY(own(&self, sizeof *self));
    self->work.end = &self->work.first;
    self->captured.end = &self->captured.first;
    self->next = state->streams;
    state->streams = self;
    *stream = self;
    return STATUS_OK;
}

void device_stream_destroy(struct device *device, void *stream) {
    struct state *state = device->state;
    struct stream *self = stream, **place = &state->streams;
    if (self == NULL)
        return;
    drain_all(device);
    list_clear(&self->captured);
    while (*place != self)
        place = &(*place)->next;
    *place = self->next;
    free(self);
}

/* --- copies --- */

struct transfer {
    void *to;
    const void *from; /* NULL: fill with the byte */
    size_t bytes;
    unsigned char byte;
};

static void run_transfer(void *closure) {
    const struct transfer *transfer = closure;
    if (transfer->from != NULL)
        memmove(transfer->to, transfer->from, transfer->bytes);
    else
        memset(transfer->to, transfer->byte, transfer->bytes);
}

static void release_transfer(void *closure) {
    free(closure);
}

static enum status put_transfer(void *stream, struct transfer values) {
    struct transfer *transfer = NULL;
    TRY(own(&transfer, sizeof *transfer));
    *transfer = values;
    return device_launched(
        queue_push(stream, (struct queue_task){run_transfer, release_transfer, transfer}),
        "a copy");
}

/* `to` and `from`: what to call an end that must be the device's; NULL for the host's. */
struct ends {
    const char *to, *from;
};

static enum status put_copy(void *stream, struct ends ends, void *to, const void *from,
                            size_t bytes) {
    if (bytes == 0)
        return STATUS_OK;
    if (ends.to != NULL)
        TRY(check_device(to, bytes, ends.to));
    if (ends.from != NULL)
        TRY(check_device(from, bytes, ends.from));
    return put_transfer(stream, (struct transfer){.to = to, .from = from, .bytes = bytes});
}

enum status device_upload(struct device *device, void *stream, void *to, const void *from_host,
                          size_t bytes) {
    (void)device;
    return put_copy(stream, (struct ends){"upload", NULL}, to, from_host, bytes);
}

enum status device_download(struct device *device, void *stream, void *to_host, const void *from,
                            size_t bytes) {
    (void)device;
    return put_copy(stream, (struct ends){NULL, "download"}, to_host, from, bytes);
}

enum status device_copy(struct device *device, void *stream, void *to, const void *from,
                        size_t bytes) {
    (void)device;
    return put_copy(stream, (struct ends){"copy, to", "copy, from"}, to, from, bytes);
}

enum status device_fill(struct device *device, void *stream, void *to, unsigned char byte,
                        size_t bytes) {
    (void)device;
    if (bytes == 0)
        return STATUS_OK;
    TRY(check_device(to, bytes, "fill"));
    return put_transfer(stream, (struct transfer){.to = to, .byte = byte, .bytes = bytes});
}

/* --- events --- */

struct event {
    struct stream *stream; /* where it was last recorded; NULL: never */
    int64_t place;         /* pieces of work before it, its own mark among them */
    struct timespec time;  /* when it was passed */
};

enum status device_event_create(struct device *device, void **event) {
    (void)device;
    struct event *self = NULL;
    TRY(own(&self, sizeof *self));
    *event = self;
    return STATUS_OK;
}

void device_event_destroy(struct device *device, void *event) {
    if (event == NULL)
        return;
    drain_all(device);
    free(event);
}

static void pass_event(void *closure) {
    struct event *event = closure;
    clock_gettime(CLOCK_MONOTONIC, &event->time);
}

enum status device_event_record(struct device *device, void *event, void *stream) {
    (void)device;
    struct event *self = event;
    struct stream *at = stream;
    TRY(device_launched(queue_push(stream, (struct queue_task){pass_event, NULL, event}),
                        "an event"));
    self->stream = at;
    self->place = at->added;
    return STATUS_OK;
}

enum status device_event_wait(struct device *device, void *stream, void *event) {
    (void)device;
    const struct event *self = event;
    struct work *work = NULL;
    if (self->stream == NULL)
        return STATUS_OK;
    TRY(add(stream, &work));
    work->other = self->stream;
    work->until = self->place;
    return STATUS_OK;
}

enum status device_event_synchronize(struct device *device, void *event) {
    (void)device;
    const struct event *self = event;
    if (self->stream != NULL)
        drain(self->stream, self->place);
    return STATUS_OK;
}

static bool stalled;

void faults_stall(bool on) {
    stalled = on;
}

/* Asking is what moves the stand-in on: otherwise a loop that asks would never end. */
enum status device_event_passed(struct device *device, void *event, bool *passed) {
    const struct event *self = event;
    *passed = self->stream == NULL || self->stream->done >= self->place;
    if (!*passed && !stalled)
        TRY(device_event_synchronize(device, event));
    return STATUS_OK;
}

enum status device_event_elapsed_ms(struct device *device, void *from, void *to, float *ms) {
    (void)device;
    const struct event *a = from, *b = to;
    *ms = (float)((double)(b->time.tv_sec - a->time.tv_sec) * 1e3 +
                  (double)(b->time.tv_nsec - a->time.tv_nsec) * 1e-6);
    return STATUS_OK;
}

/* --- graphs --- */

enum status device_capture_begin(struct device *device, void *stream) {
    (void)device;
    struct stream *self = stream;
    if (self->captures)
        return FAIL(STATUS_DEFECT, "the stream is captured already");
    self->captures = true;
    return STATUS_OK;
}

/* Launches of an earlier graph that are still in the stream are done first: they are as they were. */
enum status device_capture_end(struct device *device, void *stream, void **graph) {
    struct stream *self = stream;
    struct list *list = *graph;
    if (list != NULL) {
        drain_all(device);
        list_clear(list);
    } else {
        TRY(own(&list, sizeof *list));
    }
    *list = self->captured;
    if (list->first == NULL)
        list->end = &list->first;
    self->captured.first = NULL;
    self->captured.end = &self->captured.first;
    self->captures = false;
    *graph = list;
    return STATUS_OK;
}

static void run_graph(void *closure) {
    const struct list *list = closure;
    for (const struct work *work = list->first; work != NULL; work = work->next) {
        if (work->other != NULL)
            drain(work->other, work->until);
        if (work->task.run != NULL)
            work->task.run(work->task.closure);
    }
}

enum status device_graph_launch(struct device *device, void *graph, void *stream) {
    (void)device;
    return device_launched(queue_push(stream, (struct queue_task){run_graph, NULL, graph}),
                           "a graph");
}

void device_graph_destroy(struct device *device, void *graph) {
    if (graph == NULL)
        return;
    drain_all(device);
    list_clear(graph);
    free(graph);
}

/* --- the device --- */

/* One device, the host; or for tests as many as GRADUS_HOST_GPUS says, each with a UUID and a place on
 * the bus, of which CUDA_VISIBLE_DEVICES shows some, by numbers or UUIDs, as CUDA reads it: an entry
 * that is none ends the list. All of them are the host. */
enum { FAKES_MOST = 64 };

static int fake_count(void) {
    const char *text = getenv("GRADUS_HOST_GPUS");
    const long count = text != NULL ? strtol(text, NULL, 10) : 0;
    return count > 0 && count <= FAKES_MOST ? (int)count : 0;
}

static void name_fake(char *out, size_t size, int number) {
    snprintf(out, size, "GPU-%08x-0000-0000-0000-000000000000", (unsigned)number);
}

/* Which one an entry of the list, of `length` characters, means; −1: none. */
static int find_fake(const char *entry, size_t length, int count) {
    char uuid[64], number[16];
    for (int i = 0; i < count; i++) {
        name_fake(uuid, sizeof uuid, i);
        snprintf(number, sizeof number, "%d", i);
        if ((length > 4 && strncmp(entry, uuid, length) == 0) ||
            (length == strlen(number) && strncmp(entry, number, length) == 0))
            return i;
    }
    return -1;
}

/* The number of the index-th visible one; −1 where there are not so many. */
static int visible_fake(int index) {
    const char *list = getenv("CUDA_VISIBLE_DEVICES");
    const int count = fake_count();
    if (list == NULL)
        return index < count ? index : -1;
    for (int i = 0; *list != '\0'; i++) {
        const size_t length = strcspn(list, ",");
        const int found = find_fake(list, length, count);
        if (found < 0 || i == index)
            return found;
        list += length + (list[length] == ',');
    }
    return -1;
}

enum status device_count(int *count) {
    *count = fake_count() == 0;
    while (fake_count() > 0 && visible_fake(*count) >= 0)
        ++*count;
    return STATUS_OK;
}

enum status device_open(struct device *device, int index) {
    struct state *state = NULL;
    int count;
    TRY(device_count(&count));
    if (index < 0 || index >= count)
        return FAIL(STATUS_INPUT, "there is no device %d; the host stands in for %d", index, count);
    TRY(own(&state, sizeof *state));
    *device = (struct device){.index = index, .state = state};
    return device_stream_create(device, &device->stream);
}

void device_close(struct device *device) {
    struct state *state = device->state;
    if (state == NULL)
        return;
    drain_all(device);
    while (state->streams != NULL)
        device_stream_destroy(device, state->streams);
    free(state);
    *device = (struct device){.index = 0};
}

static void fake_facts(struct device_facts *facts, int number) {
    const char *name = getenv("GRADUS_HOST_GPU_NAME");
    facts->numa_node = number / 2;
    snprintf(facts->name, sizeof facts->name, "%s", name != NULL ? name : "a GPU made up");
    name_fake(facts->uuid, sizeof facts->uuid, number);
    snprintf(facts->pci, sizeof facts->pci, "0000:%02X:00.0", (unsigned)(0x17 + number));
}

enum status device_facts(const struct device *device, struct device_facts *facts) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    *facts = (struct device_facts){
        .is_host = true, .major = 8, .minor = 0, .processors = 1, .numa_node = -1};
    facts->memory_bytes = sysconf(_SC_PHYS_PAGES) * page;
    facts->free_bytes = facts->memory_bytes - memory_totals().bytes;
    facts->l2_bytes = (int64_t)32 << 20;
    snprintf(facts->name, sizeof facts->name, "the host in place of a GPU");
    if (fake_count() > 0)
        fake_facts(facts, visible_fake(device->index));
    return STATUS_OK;
}

enum status device_launched(int error, const char *call) {
    if (error == 0)
        return STATUS_OK;
    return FAIL(STATUS_DEFECT, "%s: the host cannot do it, as CUDA could not (its error %d)", call,
                error);
}
