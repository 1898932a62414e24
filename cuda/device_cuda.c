/* SPDX-License-Identifier: Apache-2.0
 *
 * A GPU by the CUDA runtime. Its error codes become sentences here.
 */
#include "cuda/device.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cuda/device_cuda.h"

/* --- errors --- */

enum status device_failed(int code, const char *what) {
    const cudaError_t error = (cudaError_t)code;
    const char *name = cudaGetErrorName(error), *text = cudaGetErrorString(error);
    (void)cudaGetLastError(); /* an error that can be lived with does not come again */
    if (error == cudaErrorMemoryAllocation)
        return FAIL(STATUS_MEMORY, "%s: the GPU has no memory left (%s)", what, name);
    if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver)
        return FAIL(STATUS_INPUT, "%s: %s (%s); is this a node with a GPU, and was one asked for?",
                    what, text, name);
    return FAIL(STATUS_DEFECT, "%s: %s (%s)", what, text, name);
}

enum status device_launched(int error, const char *call) {
    return error == 0 ? STATUS_OK : device_failed(error, call);
}

/* --- the device --- */

enum status device_count(int *count) {
    const cudaError_t error = cudaGetDeviceCount(count);
    if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver) {
        (void)cudaGetLastError();
        *count = 0;
        return STATUS_OK;
    }
    CUDA(error);
    return STATUS_OK;
}

enum status device_open(struct device *device, int index) {
    int count;
    TRY(device_count(&count));
    if (index < 0 || index >= count)
        return FAIL(STATUS_INPUT, "there is no GPU %d; this process sees %d", index, count);
    CUDA(cudaSetDevice(index));
    *device = (struct device){.index = index};
    return device_stream_create(device, &device->stream);
}

void device_close(struct device *device) {
    device_stream_destroy(device, device->stream);
    *device = (struct device){.index = 0};
}

/* As the system tells it of the device on the PCI bus. */
static int numa_node_of(const char *pci) {
    char path[96];
    int node = -1;
    int used = snprintf(path, sizeof path, "/sys/bus/pci/devices/");
    for (const char *c = pci; *c != 0 && used < (int)sizeof path - 12; c++)
        path[used++] = (char)tolower((unsigned char)*c);
    snprintf(path + used, sizeof path - (size_t)used, "/numa_node");
    FILE *stream = fopen(path, "re");
    if (stream != NULL && fscanf(stream, "%d", &node) != 1)
        node = -1;
    if (stream != NULL)
        fclose(stream);
    return node;
}

enum status device_facts(const struct device *device, struct device_facts *facts) {
    struct cudaDeviceProp p;
    size_t free_bytes, total;
    CUDA(cudaGetDeviceProperties(&p, device->index));
    CUDA(cudaMemGetInfo(&free_bytes, &total));
    *facts = (struct device_facts){.memory_bytes = (int64_t)total,
                                   .free_bytes = (int64_t)free_bytes,
                                   .l2_bytes = p.l2CacheSize,
                                   .processors = p.multiProcessorCount,
                                   .major = p.major,
                                   .minor = p.minor};
    snprintf(facts->name, sizeof facts->name, "%s", p.name);
    CUDA(cudaDeviceGetPCIBusId(facts->pci, sizeof facts->pci, device->index));
    facts->numa_node = numa_node_of(facts->pci);
    /* As nvidia-smi writes it: GPU-8-4-4-4-12. */
    size_t used = (size_t)snprintf(facts->uuid, sizeof facts->uuid, "GPU-");
    for (int i = 0; i < 16; i++)
        used += (size_t)snprintf(facts->uuid + used, sizeof facts->uuid - used, "%s%02x",
                                 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                                 (unsigned char)p.uuid.bytes[i]);
    return STATUS_OK;
}

enum status device_used(const struct device *device, int64_t *bytes) {
    size_t free_bytes, total;
    (void)device;
    CUDA(cudaMemGetInfo(&free_bytes, &total));
    *bytes = (int64_t)(total - free_bytes);
    return STATUS_OK;
}

/* --- memory --- */

enum status device_allocate(struct device *device, void *pointer, size_t bytes, const char *label) {
    void *memory = NULL;
    (void)device;
    const cudaError_t error = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        size_t free_bytes = 0, total = 0;
        (void)cudaGetLastError();
        (void)cudaMemGetInfo(&free_bytes, &total);
        return FAIL(STATUS_MEMORY,
                    "no memory on the GPU for %zu bytes of %s; %zu of its %zu are "
                    "free",
                    bytes, label, free_bytes, total);
    }
    CUDA(error);
    memcpy(pointer, &memory, sizeof memory);
    return STATUS_OK;
}

void device_release(struct device *device, void *pointer) {
    void *memory;
    (void)device;
    memcpy(&memory, pointer, sizeof memory);
    if (memory != NULL)
        (void)cudaFree(memory);
    memset(pointer, 0, sizeof memory);
}

enum status device_allocate_pinned(struct device *device, void *pointer, size_t bytes,
                                   const char *label) {
    void *memory = NULL;
    (void)device;
    const cudaError_t error = cudaMallocHost(&memory, bytes > 0 ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return FAIL(STATUS_MEMORY, "no pinned host memory for %zu bytes of %s", bytes, label);
    }
    CUDA(error);
    memset(memory, 0, bytes);
    memcpy(pointer, &memory, sizeof memory);
    return STATUS_OK;
}

void device_release_pinned(struct device *device, void *pointer) {
    void *memory;
    (void)device;
    memcpy(&memory, pointer, sizeof memory);
    if (memory != NULL)
        (void)cudaFreeHost(memory);
    memset(pointer, 0, sizeof memory);
}

static enum status copy(void *stream, void *to, const void *from, size_t bytes,
                        enum cudaMemcpyKind kind) {
    if (bytes > 0)
        CUDA(cudaMemcpyAsync(to, from, bytes, kind, stream));
    return STATUS_OK;
}

enum status device_upload(struct device *device, void *stream, void *to, const void *from_host,
                          size_t bytes) {
    (void)device;
    return copy(stream, to, from_host, bytes, cudaMemcpyHostToDevice);
}

enum status device_download(struct device *device, void *stream, void *to_host, const void *from,
                            size_t bytes) {
    (void)device;
    return copy(stream, to_host, from, bytes, cudaMemcpyDeviceToHost);
}

enum status device_copy(struct device *device, void *stream, void *to, const void *from,
                        size_t bytes) {
    (void)device;
    return copy(stream, to, from, bytes, cudaMemcpyDeviceToDevice);
}

enum status device_fill(struct device *device, void *stream, void *to, unsigned char byte,
                        size_t bytes) {
    (void)device;
    if (bytes > 0)
        CUDA(cudaMemsetAsync(to, byte, bytes, stream));
    return STATUS_OK;
}

/* --- streams --- */

bool device_memory_touched(const void *address) {
    (void)address;
    return false;
}

enum status device_synchronize(struct device *device, void *stream) {
    (void)device;
    CUDA(cudaStreamSynchronize(stream));
    return STATUS_OK;
}

enum status device_stream_create(struct device *device, void **stream) {
    (void)device;
    cudaStream_t created;
    CUDA(cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking));
    *stream = created;
    return STATUS_OK;
}

void device_stream_destroy(struct device *device, void *stream) {
    (void)device;
    if (stream == NULL)
        return;
    (void)cudaStreamSynchronize(stream);
    (void)cudaStreamDestroy(stream);
}

/* --- events --- */

enum status device_event_create(struct device *device, void **event) {
    (void)device;
    cudaEvent_t created;
    CUDA(cudaEventCreate(&created));
    *event = created;
    return STATUS_OK;
}

void device_event_destroy(struct device *device, void *event) {
    (void)device;
    if (event != NULL)
        (void)cudaEventDestroy(event);
}

enum status device_event_record(struct device *device, void *event, void *stream) {
    (void)device;
    CUDA(cudaEventRecord(event, stream));
    return STATUS_OK;
}

enum status device_event_wait(struct device *device, void *stream, void *event) {
    (void)device;
    CUDA(cudaStreamWaitEvent(stream, event, 0));
    return STATUS_OK;
}

enum status device_event_synchronize(struct device *device, void *event) {
    (void)device;
    CUDA(cudaEventSynchronize(event));
    return STATUS_OK;
}

enum status device_event_passed(struct device *device, void *event, bool *passed) {
    (void)device;
    const cudaError_t error = cudaEventQuery(event);
    *passed = error == cudaSuccess;
    if (error == cudaErrorNotReady) {
        (void)cudaGetLastError();
        return STATUS_OK;
    }
    CUDA(error);
    return STATUS_OK;
}

enum status device_event_elapsed_ms(struct device *device, void *from, void *to, float *ms) {
    (void)device;
    CUDA(cudaEventElapsedTime(ms, from, to));
    return STATUS_OK;
}

/* --- graphs --- */

enum status device_capture_begin(struct device *device, void *stream) {
    (void)device;
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    return STATUS_OK;
}

/* A graph with the same nodes in other words is brought up to date, which takes a part of the time of
 * making one; where the nodes differ one is made anew. */
enum status device_capture_end(struct device *device, void *stream, void **graph) {
    cudaGraph_t captured;
    cudaGraphExec_t executable = *graph;
    cudaGraphExecUpdateResultInfo found;
    CUDA(cudaStreamEndCapture(stream, &captured));
    cudaError_t error = cudaErrorGraphExecUpdateFailure;
    if (executable != NULL)
        error = cudaGraphExecUpdate(executable, captured, &found);
    if (error != cudaSuccess) {
        (void)cudaGetLastError();
        device_graph_destroy(device, executable);
        executable = NULL;
        error = cudaGraphInstantiate(&executable, captured, 0);
    }
    *graph = error == cudaSuccess ? executable : NULL;
    (void)cudaGraphDestroy(captured);
    CUDA(error);
    return STATUS_OK;
}

enum status device_graph_launch(struct device *device, void *graph, void *stream) {
    (void)device;
    CUDA(cudaGraphLaunch(graph, stream));
    return STATUS_OK;
}

void device_graph_destroy(struct device *device, void *graph) {
    (void)device;
    if (graph != NULL)
        (void)cudaGraphExecDestroy(graph);
}
