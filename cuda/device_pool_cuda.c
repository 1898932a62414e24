/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of a GPU that grows in place: addresses first, memory behind them later, by the driver's
 * calls for virtual memory. The runtime hands out their addresses, so that nothing is linked that
 * only a machine with a driver has.
 */
#include "cuda/device.h"

#include <stdlib.h>
#include <string.h>

#include <cuda.h>

#include "cuda/device_cuda.h"

/* name, arguments */
#define DRIVER_CALLS(X)                                                                            \
    X(cuMemGetAllocationGranularity,                                                               \
      (size_t *, const CUmemAllocationProp *, CUmemAllocationGranularity_flags))                   \
    X(cuMemAddressReserve, (CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long))       \
    X(cuMemAddressFree, (CUdeviceptr, size_t))                                                     \
    X(cuMemCreate,                                                                                 \
      (CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *, unsigned long long))   \
    X(cuMemRelease, (CUmemGenericAllocationHandle))                                                \
    X(cuMemMap, (CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long))   \
    X(cuMemUnmap, (CUdeviceptr, size_t))                                                           \
    X(cuMemSetAccess, (CUdeviceptr, size_t, const CUmemAccessDesc *, size_t))

struct driver {
#define X(name, arguments) CUresult(*name) arguments;
    DRIVER_CALLS(X)
#undef X
};

struct pool {
    struct pool *next;
    struct driver driver;
    CUmemAllocationProp kind;
    CUdeviceptr begin;
    size_t most, bytes, granule; /* addresses; of which are memory; both multiples of this */
};

static enum status find(const char *name, void *pointer) {
    enum { VERSION = 12000 };
    enum cudaDriverEntryPointQueryResult result;
    void *address = NULL;
    CUDA(cudaGetDriverEntryPointByVersion(name, &address, VERSION, cudaEnableDefault, &result));
    if (result != cudaDriverEntryPointSuccess || address == NULL)
        return FAIL(STATUS_INPUT, "the GPU's driver lacks %s; it is too old", name);
    memcpy(pointer, &address, sizeof address);
    return STATUS_OK;
}

static enum status find_all(struct driver *driver) {
#define X(name, arguments) TRY(find(#name, &driver->name));
    DRIVER_CALLS(X)
#undef X
    return STATUS_OK;
}

static enum status checked(CUresult result, const char *what, size_t bytes) {
    if (result == CUDA_SUCCESS)
        return STATUS_OK;
    return FAIL(result == CUDA_ERROR_OUT_OF_MEMORY ? STATUS_MEMORY : STATUS_DEFECT,
                "%s of %zu bytes: the GPU's driver gives its error %d", what, bytes, (int)result);
}

static size_t rounded(const struct pool *pool, size_t bytes) {
    return (bytes + pool->granule - 1) / pool->granule * pool->granule;
}

static enum status open_pool(struct device *device, struct pool *pool, size_t most) {
    CUDA(cudaFree(NULL)); /* makes the context, where there was none */
    TRY(find_all(&pool->driver));
    pool->kind.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    pool->kind.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    pool->kind.location.id = device->index;
    TRY(checked(pool->driver.cuMemGetAllocationGranularity(&pool->granule, &pool->kind,
                                                           CU_MEM_ALLOC_GRANULARITY_MINIMUM),
                "the granularity of a pool", most));
    pool->most = rounded(pool, most);
    return checked(pool->driver.cuMemAddressReserve(&pool->begin, pool->most, 0, 0, 0),
                   "addresses for a pool", most);
}

enum status device_reserve(struct device *device, void *pointer, size_t most, const char *label) {
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return FAIL(STATUS_MEMORY, "no memory for the books of %s", label);
    const enum status status = open_pool(device, pool, most);
    if (status != STATUS_OK) {
        free(pool);
        return status;
    }
    pool->next = device->state;
    device->state = pool;
    memcpy(pointer, &pool->begin, sizeof pool->begin);
    return STATUS_OK;
}

static struct pool **place_of(struct device *device, const void *memory) {
    struct pool **place = (struct pool **)&device->state;
    while (*place != NULL && (*place)->begin != (CUdeviceptr)memory)
        place = &(*place)->next;
    ASSERT(*place != NULL);
    return place;
}

enum status device_commit(struct device *device, void *memory, size_t bytes) {
    struct pool *pool = *place_of(device, memory);
    const struct driver *driver = &pool->driver;
    const size_t wanted = rounded(pool, bytes), more = wanted - pool->bytes;
    if (wanted <= pool->bytes)
        return STATUS_OK;
    ASSERT(wanted <= pool->most);
    CUmemGenericAllocationHandle handle;
    CUmemAccessDesc access = {.location = pool->kind.location,
                              .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    const CUdeviceptr at = pool->begin + pool->bytes;
    TRY(checked(driver->cuMemCreate(&handle, more, &pool->kind, 0), "memory for a pool", more));
    const CUresult mapped = driver->cuMemMap(at, more, 0, handle, 0);
    (void)driver->cuMemRelease(handle); /* it lives as long as it is mapped */
    TRY(checked(mapped, "memory for a pool", more));
    TRY(checked(driver->cuMemSetAccess(at, more, &access, 1), "access to a pool", more));
    pool->bytes = wanted;
    return STATUS_OK;
}

void device_unreserve(struct device *device, void *pointer) {
    void *memory;
    memcpy(&memory, pointer, sizeof memory);
    if (memory == NULL)
        return;
    struct pool **place = place_of(device, memory), *pool = *place;
    (void)cudaDeviceSynchronize();
    if (pool->bytes > 0)
        (void)pool->driver.cuMemUnmap(pool->begin, pool->bytes);
    (void)pool->driver.cuMemAddressFree(pool->begin, pool->most);
    *place = pool->next;
    free(pool);
    memset(pointer, 0, sizeof memory);
}
