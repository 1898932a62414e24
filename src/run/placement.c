/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "run/placement.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

/* What a rank says of itself. */
struct place {
    char host[128], cores[PLACEMENT_TEXT_BYTES], gpus[PLACEMENT_TEXT_BYTES],
        launcher[PLACEMENT_TEXT_BYTES], device[sizeof((struct backend *)0)->device], kind[512];
    int core_count, threads;
};

const char *placement_launcher(char out[PLACEMENT_TEXT_BYTES]) {
    const char *job = getenv("SLURM_JOB_ID"), *step = getenv("SLURM_STEP_ID");
    const char *name = "none";
    if (getenv("OMPI_COMM_WORLD_RANK") != NULL) /* first: it starts its daemons by srun itself */
        name = "mpirun of Open MPI";
    else if (getenv("PALS_APID") != NULL)
        name = "mpiexec of PALS";
    else if (job != NULL && step != NULL)
        name = NULL;
    else if (getenv("PMI_RANK") != NULL)
        name = "mpiexec of MPICH or its kin";
    if (name != NULL)
        snprintf(out, PLACEMENT_TEXT_BYTES, "%s", name);
    else
        snprintf(out, PLACEMENT_TEXT_BYTES, "srun (step %.40s.%.40s)", job, step);
    return out;
}

const char *placement_cores(const void *cpu_set, char out[PLACEMENT_TEXT_BYTES]) {
    const cpu_set_t *cores = cpu_set;
    size_t used = 0;
    out[0] = '\0';
    for (int first = 0, last; first < CPU_SETSIZE; first = last + 1) {
        char piece[32];
        last = first;
        if (!CPU_ISSET(first, cores))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cores))
            last++;
        snprintf(piece, sizeof piece, last > first ? "%s%d-%d" : "%s%d", used > 0 ? "," : "", first,
                 last);
        if (used + strlen(piece) + sizeof ",…" > PLACEMENT_TEXT_BYTES) {
            snprintf(out + used, PLACEMENT_TEXT_BYTES - used, ",…");
            break;
        }
        used += (size_t)snprintf(out + used, PLACEMENT_TEXT_BYTES - used, "%s", piece);
    }
    return out;
}

/* "AMD EPYC 9654 96-Core Processor"; "" where the system does not tell. */
static void read_processor(char *out, size_t size) {
    FILE *stream = fopen("/proc/cpuinfo", "re");
    char line[256];
    out[0] = '\0';
    while (stream != NULL && out[0] == '\0' && fgets(line, sizeof line, stream) != NULL)
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL)
            snprintf(out, size, "%s", strchr(line, ':') + 2);
    out[strcspn(out, "\n")] = '\0';
    if (stream != NULL)
        fclose(stream);
}

enum status placement_device(const struct backend *backend, struct strbuf *out) {
    char processor[256] = "";
    const char *kind = backend->kind;
    if (backend->ops->host_memory) {
        read_processor(processor, sizeof processor);
        kind = processor;
    }
    return strbuf_append_format(out, "%s%s%s", backend->ops->text, kind[0] != '\0' ? "; " : "",
                                kind);
}

static enum status describe_self(struct place *place, const struct backend *backend) {
    struct strbuf kind = STRBUF_EMPTY;
    cpu_set_t cores;
    const char *gpus = getenv("CUDA_VISIBLE_DEVICES");
    memset(place, 0, sizeof *place);
    gethostname(place->host, sizeof place->host - 1);
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) {
        placement_cores(&cores, place->cores);
        place->core_count = CPU_COUNT(&cores);
    }
    snprintf(place->gpus, sizeof place->gpus, "%s", gpus != NULL ? gpus : "all");
    placement_launcher(place->launcher);
    snprintf(place->device, sizeof place->device, "%s", backend->device);
    place->threads = backend->threads;
    const enum status status = placement_device(backend, &kind);
    snprintf(place->kind, sizeof place->kind, "%s", strbuf_text(&kind));
    strbuf_release(&kind);
    return status;
}

/* What all ranks say, on rank 0; NULL elsewhere. */
static enum status gather_places(struct comm *comm, const struct backend *backend,
                                 struct place **all) {
    struct place mine;
    size_t *sizes = NULL;
    TRY(comm_agree(comm, describe_self(&mine, backend)));
    TRY(comm_gather(comm, &mine, sizeof mine, 0, (void **)all, &sizes));
    memory_release(&sizes);
    return STATUS_OK;
}

/* How many ranks may use the very cores of this one. */
static int count_sharing(const struct place *places, int size, const struct place *place) {
    int sharing = 0;
    for (int rank = 0; rank < size; rank++)
        sharing += strcmp(places[rank].host, place->host) == 0 &&
                   strcmp(places[rank].cores, place->cores) == 0;
    return sharing;
}

static void tell(const struct place *places, int size, const char *name) {
    for (int rank = 0; rank < size; rank++) {
        const struct place *place = &places[rank];
        const int sharing = count_sharing(places, size, place);
        char note[64] = "", device[sizeof place->device + 4] = "";
        if (sharing > 1)
            snprintf(note, sizeof note, ", ranks_on_these_cores = %d", sharing);
        if (place->device[0] != '\0')
            snprintf(device, sizeof device, " (%s)", place->device);
        log_info("place",
                 "rank = %d of %d, host = %s, cores = %s, threads = %d%s, device = %s%s, "
                 "visible_gpus = %s, launcher = %s",
                 rank, size, place->host, place->cores, place->threads, note, name, device,
                 place->gpus, place->launcher);
    }
}

/* A GPU that two ranks share has the memory of one, and half the time for each. */
static enum status refuse_shared(const struct place *places, int size) {
    for (int a = 0; a < size; a++)
        for (int b = 0; b < a && places[a].device[0] != '\0'; b++)
            if (strcmp(places[a].device, places[b].device) == 0 &&
                strcmp(places[a].host, places[b].host) == 0)
                return FAIL(
                    STATUS_INPUT,
                    "ranks %d and %d have the same GPU of %s, %s (CUDA_VISIBLE_DEVICES: %s); "
                    "start one rank for each GPU, and let each see its own or all of them",
                    b, a, places[a].host, places[a].device, places[a].gpus);
    return STATUS_OK;
}

/* The first rank of another kind than rank 0 speaks for all. */
static enum status refuse_mixed(const struct place *places, int size) {
    for (int r = 1; r < size; r++)
        if (strcmp(places[r].kind, places[0].kind) != 0)
            return FAIL(STATUS_INPUT,
                        "rank 0 on %s computes by %s, rank %d on %s by %s: the numbers would "
                        "depend on who computes what; ask for nodes of one kind, or give equal "
                        "bits up with parallel.reduction = \"fast\"",
                        places[0].host, places[0].kind, r, places[r].host, places[r].kind);
    return STATUS_OK;
}

enum status placement_check(struct comm *comm, const struct backend *backend, bool alike) {
    struct place *all = NULL;
    enum status status = STATUS_OK;
    TRY(gather_places(comm, backend, &all));
    if (comm->rank == 0)
        status = refuse_shared(all, comm->size);
    if (comm->rank == 0 && alike && status == STATUS_OK)
        status = refuse_mixed(all, comm->size);
    memory_release(&all);
    return comm_agree(comm, status);
}

enum status placement_report(struct comm *comm, const struct backend *backend,
                             const struct reducer *reducer) {
    struct place *all = NULL;
    TRY(gather_places(comm, backend, &all));
    if (comm->rank == 0)
        tell(all, comm->size, backend->ops->name);
    if (comm->rank == 0 && comm->size > 1)
        log_info("place", "sums over the ranks = %s (%s%s%s)", reducer->ops->name,
                 reducer->ops->text, reducer->by[0] != '\0' ? ", " : "", reducer->by);
    memory_release(&all);
    return STATUS_OK;
}

enum status placement_hosts(struct comm *comm, struct strbuf *out) {
    char host[256] = "";
    char *all = NULL;
    size_t *sizes = NULL;
    gethostname(host, sizeof host - 1);
    TRY(comm_gather(comm, host, sizeof host, 0, (void **)&all, &sizes));
    enum status status = STATUS_OK;
    for (int rank = 0; all != NULL && status == STATUS_OK && rank < comm->size; rank++)
        status = strbuf_append_format(out, "%s%s", rank > 0 ? " " : "",
                                      all + (size_t)rank * sizeof host);
    memory_release(&all);
    memory_release(&sizes);
    return status;
}
