/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's memory, copies to and from the host, scratch. What is allocated is booked as host
 * memory is (base/memory.h), so that a plan can be held against it.
 */
#include "cuda/cuda.h"

#include <string.h>

#include "base/memory.h"

/* --- blocks --- */

/* Books the bytes, then has them; what is in them is not said. */
static enum status take(struct backend *backend, struct cuda_block *block, size_t bytes,
                        const char *label) {
    struct cuda_state *state = cuda_state(backend);
    TRY(memory_pretend(&block->booked, block->grows ? 0 : bytes, 1, label));
    if (state->plans) {
        block->memory = block->booked;
        return STATUS_OK;
    }
    return (block->grows ? device_reserve : device_allocate)(&state->device, &block->memory, bytes,
                                                             label);
}

static void give_back(struct backend *backend, struct cuda_block *block) {
    struct device *device = &cuda_state(backend)->device;
    if (!cuda_plans(backend))
        (block->grows ? device_unreserve : device_release)(device, &block->memory);
    memory_release(&block->booked);
    memory_release(&block);
}

static enum status allocate_as(struct backend *backend, void **out, size_t bytes, bool grows,
                               const char *label) {
    struct cuda_state *state = cuda_state(backend);
    struct cuda_block *block = NULL;
    TRY(memory_new(&block, 1, "books of the device"));
    block->grows = grows;
    const enum status status = take(backend, block, bytes, label);
    if (status != STATUS_OK) {
        memory_release(&block->booked);
        memory_release(&block);
        return status;
    }
    block->next = state->blocks;
    state->blocks = block;
    *out = block->memory;
    return STATUS_OK;
}

static enum status allocate(struct backend *backend, void **out, size_t bytes, const char *label) {
    return allocate_as(backend, out, bytes, false, label);
}

enum status cuda_allocate(struct backend *backend, void **out, size_t bytes, const char *label) {
    TRY(allocate(backend, out, bytes, label));
    return cuda_clear(backend, *out, bytes);
}

void cuda_release(struct backend *backend, void *memory) {
    struct cuda_block **place = &cuda_state(backend)->blocks;
    if (memory == NULL)
        return;
    while (*place != NULL && (*place)->memory != memory)
        place = &(*place)->next;
    ASSERT(*place != NULL);
    struct cuda_block *block = *place;
    *place = block->next;
    give_back(backend, block);
}

enum status cuda_grow_reserve(struct backend *backend, void **out, size_t most, const char *label) {
    return allocate_as(backend, out, most, true, label);
}

enum status cuda_grow_commit(struct backend *backend, void *memory, size_t bytes) {
    struct cuda_state *state = cuda_state(backend);
    struct cuda_block *block = state->blocks;
    while (block != NULL && block->memory != memory)
        block = block->next;
    ASSERT(block != NULL && block->grows);
    if (bytes <= block->bytes)
        return STATUS_OK;
    TRY(memory_pretend_more(block->booked, bytes));
    if (!state->plans)
        TRY(device_commit(&state->device, memory, bytes));
    const size_t before = block->bytes;
    block->bytes = bytes;
    return cuda_clear(backend, (unsigned char *)memory + before, bytes - before);
}

enum status cuda_clear(struct backend *backend, void *memory, size_t bytes) {
    if (cuda_plans(backend))
        return STATUS_OK;
    struct device *device = &cuda_state(backend)->device;
    return device_fill(device, device->stream, memory, 0, bytes);
}

enum status cuda_synchronize(struct backend *backend) {
    if (cuda_plans(backend))
        return STATUS_OK;
    struct device *device = &cuda_state(backend)->device;
    return device_synchronize(device, device->stream);
}

/* --- copies --- */

static enum status ring_open(struct backend *backend) {
    static const char label[] = "pinned memory for uploads";
    struct cuda_state *state = cuda_state(backend);
    struct cuda_ring *ring = &state->ring;
    const size_t bytes = (size_t)CUDA_RING_PARTS * CUDA_RING_PART_BYTES;
    if (ring->booked != NULL)
        return STATUS_OK;
    TRY(memory_pretend(&ring->booked, bytes, 1, label));
    if (state->plans)
        return STATUS_OK;
    for (int i = 0; i < CUDA_RING_PARTS; i++)
        TRY(device_event_create(&state->device, &ring->events[i]));
    return device_allocate_pinned(&state->device, &ring->memory, bytes, label);
}

/* On to the next part, when what was copied from it has arrived. */
static enum status ring_turn(struct cuda_state *state) {
    struct cuda_ring *ring = &state->ring;
    TRY(device_event_record(&state->device, ring->events[ring->part], state->device.stream));
    ring->recorded[ring->part] = true;
    ring->part = (ring->part + 1) % CUDA_RING_PARTS;
    ring->used = 0;
    if (ring->recorded[ring->part])
        TRY(device_event_synchronize(&state->device, ring->events[ring->part]));
    return STATUS_OK;
}

enum status cuda_upload(struct backend *backend, void *to, const void *from_host, size_t bytes) {
    struct cuda_state *state = cuda_state(backend);
    struct cuda_ring *ring = &state->ring;
    const unsigned char *from = from_host;
    if (bytes == 0)
        return STATUS_OK;
    if (state->records)
        return FAIL(STATUS_DEFECT, "a step that is recorded takes something from the host");
    if (device_memory_touched(from_host))
        return FAIL(STATUS_DEFECT, "what is uploaded from is memory of the device");
    TRY(ring_open(backend));
    if (state->plans)
        return STATUS_OK;
    for (size_t done = 0; done < bytes;) {
        if (ring->used == CUDA_RING_PART_BYTES)
            TRY(ring_turn(state));
        const size_t room = CUDA_RING_PART_BYTES - ring->used, left = bytes - done,
                     piece = left < room ? left : room;
        unsigned char *at = ring->memory + (size_t)ring->part * CUDA_RING_PART_BYTES + ring->used;
        memcpy(at, from + done, piece);
        TRY(device_upload(&state->device, state->device.stream, (unsigned char *)to + done, at,
                          piece));
        ring->used += piece;
        done += piece;
    }
    return STATUS_OK;
}

enum status cuda_download(struct backend *backend, void *to_host, const void *from, size_t bytes) {
    struct cuda_state *state = cuda_state(backend);
    if (state->plans || bytes == 0)
        return STATUS_OK;
    if (state->records)
        return FAIL(STATUS_DEFECT, "a step that is recorded gives something to the host");
    if (device_memory_touched(to_host))
        return FAIL(STATUS_DEFECT, "what is downloaded to is memory of the device");
    TRY(device_download(&state->device, state->device.stream, to_host, from, bytes));
    return device_synchronize(&state->device, state->device.stream);
}

/* --- scratch --- */

enum status cuda_reserve(struct backend *backend, const struct cuda_need *need) {
    struct cuda_scratch *scratch = &cuda_state(backend)->scratch;
    if (need->bytes <= scratch->bytes)
        return STATUS_OK;
    cuda_release(backend, scratch->memory);
    *scratch = (struct cuda_scratch){.memory = NULL};
    TRY(allocate(backend, &scratch->memory, need->bytes, "scratch of the cuda backend"));
    scratch->bytes = need->bytes;
    return STATUS_OK;
}

enum status cuda_host_scratch(struct backend *backend, void *pointer, size_t bytes) {
    struct cuda_scratch *host = &cuda_state(backend)->host;
    if (bytes > host->bytes) {
        memory_release(&host->memory);
        host->bytes = 0;
        TRY(memory_allocate(&host->memory, bytes, 1, "host arrays of the cuda backend"));
        host->bytes = bytes;
    }
    memcpy(pointer, &host->memory, sizeof host->memory);
    return STATUS_OK;
}

void cuda_memory_close(struct backend *backend) {
    struct cuda_state *state = cuda_state(backend);
    if (!state->plans)
        device_graph_destroy(&state->device, state->graph);
    state->graph = NULL;
    memory_release(&state->host.memory);
    cuda_release(backend, state->scratch.memory);
    while (state->blocks != NULL) {
        struct cuda_block *block = state->blocks;
        state->blocks = block->next;
        give_back(backend, block);
    }
    memory_release(&state->ring.booked);
    if (state->plans)
        return;
    for (int i = 0; i < CUDA_RING_PARTS; i++)
        device_event_destroy(&state->device, state->ring.events[i]);
    device_release_pinned(&state->device, &state->ring.memory);
}
