/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's memory, copies to and from the host, scratch. What is allocated is booked as host
 * memory is (base/memory.h), so that a plan can be held against it.
 */
#include "cuda/cuda.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* --- blocks --- */

static void give_back(struct backend *backend, struct cuda_block *block) {
    struct device *device = &cuda_state(backend)->device;
    if (!cuda_state(backend)->plans)
        (block->grows ? device_unreserve : device_release)(device, &block->memory);
    memory_release(&block->booked);
    memory_release(&block);
}

static bool is_of(const struct cuda_block *block, const char *label) {
    return strncmp(block->label, label, sizeof block->label - 1) == 0;
}

/* Of a list, those of the label; NULL: all. */
static void give_back_all(struct backend *backend, struct cuda_block **list, const char *label) {
    while (*list != NULL) {
        struct cuda_block *block = *list;
        if (label != NULL && !is_of(block, label)) {
            list = &block->next;
            continue;
        }
        *list = block->next;
        give_back(backend, block);
    }
}

void cuda_trim(struct backend *backend, const char *label) {
    give_back_all(backend, &cuda_state(backend)->kept, label);
}

/* The labels that hold most, to stand behind a sentence. */
static void holders(char *text, size_t size) {
    struct memory_account accounts[MEMORY_LABELS];
    const int count = memory_accounts(accounts, MEMORY_LABELS);
    size_t used = 0;
    text[0] = '\0';
    for (int n = 0; n < 4; n++) {
        struct memory_account *most = accounts;
        for (int i = 1; i < count; i++)
            most = accounts[i].bytes > most->bytes ? &accounts[i] : most;
        if (count == 0 || most->bytes == 0 || used >= size)
            return;
        used += (size_t)snprintf(text + used, size - used, "%s%.1f MiB of %s", n > 0 ? ", " : "",
                                 (double)most->bytes / 1048576.0, most->label);
        most->bytes = 0;
    }
}

/* The device's sentence with what this process holds, by the labels of a plan. */
static enum status out_of_memory(void) {
    char held[512], sentence[STATUS_SENTENCE_MAX];
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    holders(held, sizeof held);
    return FAIL(STATUS_MEMORY,
                "%s. This rank holds %.1f MiB, most of it %s. `gradus plan` with the same settings "
                "shows what the run needs at most, and which settings make it less",
                sentence, (double)memory_totals().bytes / 1048576.0, held);
}

static size_t room_of(const struct cuda_block *block) {
    return block->grows ? block->most : block->bytes;
}

/* The smallest block that is kept and serves, out of its list; NULL for none. */
static struct cuda_block *kept_block(struct cuda_state *state, size_t bytes, bool grows,
                                     const char *label) {
    struct cuda_block **best = NULL;
    for (struct cuda_block **place = &state->kept; *place != NULL; place = &(*place)->next)
        if ((*place)->grows == grows && room_of(*place) >= bytes && is_of(*place, label) &&
            (best == NULL || room_of(*place) < room_of(*best)))
            best = place;
    if (best == NULL)
        return NULL;
    struct cuda_block *block = *best;
    *best = block->next;
    return block;
}

/* A block from the device; what is in it is not said. What is kept makes room where there is none. */
static enum status new_block(struct backend *backend, struct cuda_block **out, size_t bytes,
                             bool grows, const char *label) {
    struct cuda_state *state = cuda_state(backend);
    enum status (*const from)(struct device *, void *, size_t, const char *) =
        grows ? device_reserve : device_allocate;
    struct cuda_block *block = NULL;
    if (bytes >= CUDA_BLOCK_LARGE)
        cuda_trim(backend, NULL);
    TRY(memory_new(&block, 1, "books of the device"));
    block->grows = grows;
    block->bytes = grows ? 0 : bytes;
    block->most = grows ? bytes : 0;
    snprintf(block->label, sizeof block->label, "%s", label);
    backend->blocks_taken++;
    enum status status =
        state->plans ? STATUS_OK : from(&state->device, &block->memory, bytes, label);
    if (status == STATUS_MEMORY && state->kept != NULL) {
        cuda_trim(backend, NULL);
        status = from(&state->device, &block->memory, bytes, label);
    }
    if (status != STATUS_OK)
        memory_release(&block);
    *out = block;
    return status == STATUS_MEMORY ? out_of_memory() : status;
}

/* Books the bytes, then has them. */
static enum status allocate_as(struct backend *backend, void **out, size_t bytes, bool grows,
                               const char *label) {
    struct cuda_state *state = cuda_state(backend);
    void *booked = NULL;
    TRY(memory_pretend(&booked, grows ? 0 : bytes, 1, label));
    bytes = (bytes + CUDA_BLOCK_UNIT - 1) / CUDA_BLOCK_UNIT * CUDA_BLOCK_UNIT;
    struct cuda_block *block = kept_block(state, bytes, grows, label);
    const enum status status =
        block != NULL ? STATUS_OK : new_block(backend, &block, bytes, grows, label);
    if (status != STATUS_OK) {
        memory_release(&booked);
        return status;
    }
    block->booked = booked;
    if (state->plans)
        block->memory = booked;
    block->next = state->blocks;
    state->blocks = block;
    *out = block->memory;
    return STATUS_OK;
}

static enum status allocate(struct backend *backend, void **out, size_t bytes, const char *label) {
    return allocate_as(backend, out, bytes, false, label);
}

enum status cuda_allocate(struct backend *backend, void **out, size_t bytes, const char *label) {
    struct device *device = &cuda_state(backend)->device;
    TRY(allocate(backend, out, bytes, label));
    return cuda_state(backend)->plans ? STATUS_OK
                                      : device_fill(device, device->stream, *out, 0, bytes);
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
    if (cuda_state(backend)->plans) {
        give_back(backend, block);
        return;
    }
    memory_release(&block->booked);
    block->bytes = block->grows ? 0 : block->bytes;
    block->next = cuda_state(backend)->kept;
    cuda_state(backend)->kept = block;
}

/* Addresses cost nothing: for a power of two, so that the next pool, of about as many, has them. */
enum status cuda_grow_reserve(struct backend *backend, void **out, size_t most, const char *label) {
    size_t addresses = 4096;
    while (addresses < most)
        addresses *= 2;
    return allocate_as(backend, out, addresses, true, label);
}

/* Makes the first bytes of the block memory, unless they are. */
static enum status back(struct backend *backend, struct cuda_block *block, size_t bytes) {
    struct cuda_state *state = cuda_state(backend);
    if (cuda_plans(backend) || bytes <= block->backed)
        return STATUS_OK;
    enum status status = device_commit(&state->device, block->memory, bytes);
    if (status == STATUS_MEMORY && state->kept != NULL) {
        cuda_trim(backend, NULL);
        status = device_commit(&state->device, block->memory, bytes);
    }
    if (status == STATUS_OK)
        block->backed = bytes;
    return status == STATUS_MEMORY ? out_of_memory() : status;
}

enum status cuda_grow_commit(struct backend *backend, void *memory, size_t bytes) {
    struct cuda_block *block = cuda_state(backend)->blocks;
    while (block != NULL && block->memory != memory)
        block = block->next;
    ASSERT(block != NULL && block->grows);
    if (bytes <= block->bytes)
        return STATUS_OK;
    TRY(memory_pretend_more(block->booked, bytes));
    TRY(back(backend, block, bytes));
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

static int64_t held_of(const struct cuda_block *list) {
    int64_t held = 0;
    for (const struct cuda_block *block = list; block != NULL; block = block->next)
        held += (int64_t)(block->grows ? block->backed : block->bytes);
    return held;
}

enum status cuda_outside(const struct backend *backend, int64_t *bytes) {
    const struct cuda_state *state = cuda_state(backend);
    *bytes = 0;
    if (state->plans)
        return STATUS_OK;
    TRY(device_used(&state->device, bytes));
    *bytes -= held_of(state->blocks) + held_of(state->kept);
    return STATUS_OK;
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
    if (cuda_plans(backend))
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
    if (cuda_plans(backend) || bytes == 0)
        return STATUS_OK;
    if (state->records)
        return FAIL(STATUS_DEFECT, "a step that is recorded gives something to the host");
    if (device_memory_touched(to_host))
        return FAIL(STATUS_DEFECT, "what is downloaded to is memory of the device");
    TRY(device_download(&state->device, state->device.stream, to_host, from, bytes));
    return device_synchronize(&state->device, state->device.stream);
}

/* --- scratch --- */

void cuda_rehearse(struct backend *backend, bool on) {
    cuda_state(backend)->rehearses = on;
}

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
    cuda_graphs_close(backend);
    memory_release(&state->host.memory);
    cuda_release(backend, state->scratch.memory);
    give_back_all(backend, &state->blocks, NULL);
    give_back_all(backend, &state->kept, NULL);
    memory_release(&state->ring.booked);
    if (state->plans)
        return;
    for (int i = 0; i < CUDA_RING_PARTS; i++)
        device_event_destroy(&state->device, state->ring.events[i]);
    device_release_pinned(&state->device, &state->ring.memory);
}
