/* SPDX-License-Identifier: Apache-2.0
 *
 * A GPU as the host code sees it: memory, streams, events, graphs. Implemented by device_cuda.c over
 * the CUDA runtime, and by device_host.c on the host, where a stream keeps what is put into it until
 * somebody waits, so that a missing wait shows there too.
 *
 * Streams, events and graphs are handles; a stream is what the launchers of cuda/kernel take. One
 * thread of the process uses a device.
 */
#ifndef CUDA_DEVICE_H
#define CUDA_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct device {
    int index;    /* among those that this process sees */
    void *stream; /* its first, closed with it */
    void *state;  /* of the implementation */
};

struct device_facts {
    char name[256], uuid[64],
        pci[32];   /* the last two are "" where any number of ranks may share it */
    int numa_node; /* of the host that it hangs on; −1: unknown */
    int64_t memory_bytes, free_bytes, l2_bytes;
    int processors, major, minor; /* multiprocessors; compute capability */
    bool is_host;                 /* no GPU: the host stands in for one */
};

/* How many devices this process sees; none is no error. */
enum status device_count(int *count) MUST_USE;

enum status device_open(struct device *device, int index) MUST_USE;
void device_close(struct device *device); /* waits for what is still in its streams */
enum status device_facts(const struct device *device, struct device_facts *facts) MUST_USE;
enum status device_used(const struct device *device, int64_t *bytes) MUST_USE; /* by anyone, now */

/* Memory of the device, aligned to 256 bytes; what is in it is not said. *pointer is a `T **` passed
 * as void *. Releasing waits for the device, and sets *pointer to NULL. */
enum status device_allocate(struct device *device, void *pointer, size_t bytes,
                            const char *label) MUST_USE;
void device_release(struct device *device, void *pointer);

/* Addresses for `most` bytes, of which device_commit makes the first ones memory, in place: never less
 * than before. Committing waits for nothing; unreserving waits for the device. */
enum status device_reserve(struct device *device, void *pointer, size_t most,
                           const char *label) MUST_USE;
enum status device_commit(struct device *device, void *memory, size_t bytes) MUST_USE;
void device_unreserve(struct device *device, void *pointer);

/* Host memory that copies run beside the host from and to; zeroed. */
enum status device_allocate_pinned(struct device *device, void *pointer, size_t bytes,
                                   const char *label) MUST_USE;
void device_release_pinned(struct device *device, void *pointer);

/* Put into the stream; 0 bytes are nothing. Host memory must stay as it is, and is not complete,
 * until the stream has come past: device_synchronize, or an event behind it. */
enum status device_upload(struct device *device, void *stream, void *to, const void *from_host,
                          size_t bytes) MUST_USE;
enum status device_download(struct device *device, void *stream, void *to_host, const void *from,
                            size_t bytes) MUST_USE;
enum status device_copy(struct device *device, void *stream, void *to, const void *from,
                        size_t bytes) MUST_USE;
enum status device_fill(struct device *device, void *stream, void *to, unsigned char byte,
                        size_t bytes) MUST_USE;

/* Whether host code is about to touch what is the device's. Told on the host that stands in, where it
 * would go unseen; false on a GPU, where the processor faults. */
bool device_memory_touched(const void *address);

/* Waits until the stream is empty, and says what went wrong in it. */
enum status device_synchronize(struct device *device, void *stream) MUST_USE;

enum status device_stream_create(struct device *device, void **stream) MUST_USE;
void device_stream_destroy(struct device *device, void *stream); /* NULL is allowed, as below */

/* A place in a stream. wait: `stream` goes on when the event's place has been passed. elapsed_ms:
 * between two places that have been passed. */
enum status device_event_create(struct device *device, void **event) MUST_USE;
void device_event_destroy(struct device *device, void *event);
enum status device_event_record(struct device *device, void *event, void *stream) MUST_USE;
enum status device_event_wait(struct device *device, void *stream, void *event) MUST_USE;
enum status device_event_synchronize(struct device *device, void *event) MUST_USE;
enum status device_event_passed(struct device *device, void *event, bool *passed) MUST_USE;
enum status device_event_elapsed_ms(struct device *device, void *from, void *to,
                                    float *ms) MUST_USE;

/* From begin to end what is put into the stream is not done but kept, with its arguments, as a graph
 * that can be put into a stream again and again. *graph is NULL, or an earlier graph, which becomes the
 * new one; launches of it that are still in a stream stay what they were. */
enum status device_capture_begin(struct device *device, void *stream) MUST_USE;
enum status device_capture_end(struct device *device, void *stream, void **graph) MUST_USE;
enum status device_graph_launch(struct device *device, void *graph, void *stream) MUST_USE;
void device_graph_destroy(struct device *device, void *graph);

/* Turns what a launcher returned into a status: DEVICE_LAUNCH(launch_norm(stream, &args)). */
enum status device_launched(int error, const char *call) MUST_USE;
#define DEVICE_LAUNCH(call) device_launched((call), #call)

#endif
