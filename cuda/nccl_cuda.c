/* SPDX-License-Identifier: Apache-2.0
 *
 * NCCL itself, loaded when it is first asked for, so that the program runs
 * where it is not installed. Its communicators are opened as ones that do not
 * block: a rank that never comes is a deadline that expires and not a call that
 * does not come back.
 */
#include "cuda/nccl_calls.h"

#include <dlfcn.h>
#include <nccl.h>

#include <stdio.h>
#include <string.h>

_Static_assert(NCCL_ID_BYTES == NCCL_UNIQUE_ID_BYTES, "the size of an id is NCCL's");

/* --- the library --- */

/* clang-format off */
#define FUNCTIONS(X)                                                                               \
    X(ncclGetVersion) X(ncclGetErrorString) X(ncclGetLastError) X(ncclGetUniqueId)                 \
    X(ncclCommInitRankConfig) X(ncclCommGetAsyncError) X(ncclCommFinalize) X(ncclCommDestroy)      \
    X(ncclCommAbort) X(ncclAllReduce) X(ncclAllGather) X(ncclGroupStart) X(ncclGroupEnd)           \
    X(ncclSend) X(ncclRecv)
/* clang-format on */

struct library {
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
};

static bool find(void *opened, const char *name, void *function, size_t size) {
    void *address = dlsym(opened, name);
    memcpy(function, &address, size);
    return address != NULL;
}

/* The one on the loader's path, else the one of the build. It stays until the
 * process ends. */
static bool load(struct library *library) {
    void *opened = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (opened == NULL)
        opened = dlopen(GRADUS_NCCL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (opened == NULL)
        return false;
    bool all = true;
#define X(name) all = find(opened, #name, &library->name, sizeof library->name) && all;
    FUNCTIONS(X)
#undef X
    return all;
}

/* NULL: there is none. Filled once, by the one thread that calls, and the same
 * ever after. */
static const struct library *nccl_library(void) {
    static struct library library;
    static enum { UNKNOWN, ABSENT, LOADED } state = UNKNOWN;
    if (state == UNKNOWN)
        state = load(&library) ? LOADED : ABSENT;
    return state == LOADED ? &library : NULL;
}

/* --- errors --- */

static ncclComm_t comm_of(const struct nccl *nccl) {
    return nccl->state;
}

/* In progress is no failure: nccl_look tells of its end. */
static enum status nccl_status(const struct nccl *nccl, ncclResult_t code, const char *call) {
    if (code == ncclSuccess || code == ncclInProgress)
        return STATUS_OK;
    const char *more = nccl_library()->ncclGetLastError(nccl != NULL ? comm_of(nccl) : NULL);
    return FAIL(code == ncclInvalidArgument ? STATUS_DEFECT : STATUS_COMM,
                "%.*s failed: %s%s%.300s; the environment variable "
                "NCCL_DEBUG=WARN makes NCCL say more",
                (int)strcspn(call, "("), call, nccl_library()->ncclGetErrorString(code),
                more != NULL && *more != 0 ? ": " : "", more != NULL ? more : "");
}
#define NCCL(call) TRY(nccl_status(nccl, nccl_library()->call, #call))

/* --- the calls --- */

bool nccl_describe(char *out, size_t size) {
    int version = 0;
    if (nccl_library() == NULL)
        return false;
    if (nccl_library()->ncclGetVersion(&version) != ncclSuccess)
        version = 0;
    snprintf(out, size, "NCCL %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    return true;
}

enum status nccl_id_make(struct nccl_id *id) {
    ncclUniqueId made;
    TRY(nccl_status(NULL, nccl_library()->ncclGetUniqueId(&made), "ncclGetUniqueId"));
    memcpy(id->bytes, made.internal, sizeof id->bytes);
    return STATUS_OK;
}

enum status nccl_open(struct nccl *nccl, struct device *device, struct comm *comm,
                      const struct nccl_id *id) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclUniqueId theirs;
    ncclComm_t opened = NULL;
    (void)device; /* the current one of this thread */
    config.blocking = 0;
    memcpy(theirs.internal, id->bytes, sizeof id->bytes);
    *nccl = (struct nccl){.rank = comm->rank, .size = comm->size};
    const ncclResult_t code =
        nccl_library()->ncclCommInitRankConfig(&opened, comm->size, theirs, comm->rank, &config);
    nccl->state = opened;
    return nccl_status(NULL, code, "ncclCommInitRankConfig");
}

enum status nccl_look(struct nccl *nccl, bool *taken_up) {
    ncclResult_t state = ncclSuccess;
    NCCL(ncclCommGetAsyncError(comm_of(nccl), &state));
    *taken_up = state != ncclInProgress;
    return nccl_status(nccl, state, "a sum over the ranks by NCCL");
}

enum status nccl_finish(struct nccl *nccl) {
    NCCL(ncclCommFinalize(comm_of(nccl)));
    return STATUS_OK;
}

void nccl_release(struct nccl *nccl, bool abort) {
    if (nccl->state != NULL)
        (void)(abort ? nccl_library()->ncclCommAbort
                     : nccl_library()->ncclCommDestroy)(comm_of(nccl));
    nccl->state = NULL;
}

enum status nccl_sum_integers(struct nccl *nccl, void *stream, int64_t *values, int64_t n) {
    NCCL(ncclAllReduce(values, values, (size_t)n, ncclInt64, ncclSum, comm_of(nccl), stream));
    return STATUS_OK;
}

enum status nccl_sum_floats(struct nccl *nccl, void *stream, float *values, int64_t n) {
    NCCL(ncclAllReduce(values, values, (size_t)n, ncclFloat32, ncclSum, comm_of(nccl), stream));
    return STATUS_OK;
}

enum status nccl_gather(struct nccl *nccl, void *stream, float *values, int64_t n) {
    NCCL(ncclAllGather(values + nccl->rank * n, values, (size_t)n, ncclFloat32, comm_of(nccl),
                       stream));
    return STATUS_OK;
}

enum status nccl_group_begin(struct nccl *nccl) {
    NCCL(ncclGroupStart());
    return STATUS_OK;
}

enum status nccl_send(struct nccl *nccl, void *stream, const float *values, int64_t n, int to) {
    NCCL(ncclSend(values, (size_t)n, ncclFloat32, to, comm_of(nccl), stream));
    return STATUS_OK;
}

enum status nccl_receive(struct nccl *nccl, void *stream, float *values, int64_t n, int from) {
    NCCL(ncclRecv(values, (size_t)n, ncclFloat32, from, comm_of(nccl), stream));
    return STATUS_OK;
}

enum status nccl_group_end(struct nccl *nccl, void *stream) {
    (void)stream;
    NCCL(ncclGroupEnd());
    return STATUS_OK;
}
