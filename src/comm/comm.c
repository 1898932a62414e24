/* SPDX-License-Identifier: Apache-2.0
 *
 * What all communicators share: checks of the arguments, ragged gathers made of an exchange of the
 * sizes and one of the bytes, and agreement, made of a maximum and a broadcast.
 */
#include "comm/comm.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

void comm_close(struct comm *comm) {
    if (comm->ops != NULL)
        comm->ops->close(comm);
    *comm = (struct comm){.ops = NULL};
}

void comm_on_wait(struct comm *comm,
                  enum status (*wait)(void *context, const char *what, double waited_s),
                  void *context) {
    comm->wait = wait;
    comm->wait_context = context;
}

void comm_deadline(struct comm *comm, double deadline_s) {
    ASSERT(deadline_s >= 0.0);
    comm->deadline_s = deadline_s;
}

_Noreturn void comm_abort(struct comm *comm, int exit_status) {
    comm->ops->abort(comm, exit_status);
    status_defect(__FILE__, __LINE__, "comm_ops.abort returned");
}

bool comm_leaves_alone(const struct comm *comm, enum status status) {
    return status != STATUS_OK && comm->size > 1 && !comm->parting;
}

/* The rank that speaks for all, or −1 when every status is OK: the largest of size − rank over the
 * failing ranks belongs to the lowest of them. */
static enum status lowest_failing(struct comm *comm, enum status status, int *rank) {
    double claim = status == STATUS_OK ? 0.0 : (double)(comm->size - comm->rank);
    TRY(comm->ops->maximum(comm, &claim, 1));
    *rank = claim > 0.0 ? comm->size - (int)claim : -1;
    return STATUS_OK;
}

enum status comm_agree(struct comm *comm, enum status status) {
    struct {
        int32_t status;
        char sentence[STATUS_SENTENCE_MAX];
    } word = {.status = (int32_t)status};
    snprintf(word.sentence, sizeof word.sentence, "%s", status_sentence());
    int speaker;
    TRY(lowest_failing(comm, status, &speaker));
    if (speaker < 0) {
        comm->parting = false;
        return STATUS_OK;
    }
    TRY(comm->ops->broadcast(comm, &word, sizeof word, speaker));
    comm->parting = true;
    if (speaker != comm->rank)
        status_set_sentence(word.sentence);
    return (enum status)word.status;
}

enum status comm_broadcast(struct comm *comm, void *data, size_t bytes, int root) {
    ASSERT(root >= 0 && root < comm->size && (data != NULL || bytes == 0));
    return comm->ops->broadcast(comm, data, bytes, root);
}

/* What a gather needs on this rank before bytes can flow: the sizes of all blocks and, where
 * `receives`, room for their sum. */
static enum status make_room(struct comm *comm, size_t bytes, bool receives, void **out,
                             size_t **sizes) {
    size_t *all = NULL;
    int64_t *each = NULL;
    enum status status = memory_new(&all, comm->size, "block sizes");
    if (status == STATUS_OK)
        status = memory_new(&each, comm->size, "block sizes");
    TRY_ELSE(status, done, comm_agree(comm, status));
    TRY_ELSE(status, done, comm_words(comm, (int64_t)bytes, each));
    size_t total = 0;
    for (int r = 0; r < comm->size; r++) {
        all[r] = (size_t)each[r];
        total += all[r];
    }
    if (receives)
        status = memory_allocate(out, total, 1, "gathered blocks");
    TRY_ELSE(status, done, comm_agree(comm, status));
    *sizes = all;
    all = NULL;
done:
    memory_release(&all);
    memory_release(&each);
    if (status != STATUS_OK)
        memory_release(out);
    return status;
}

enum status comm_gather(struct comm *comm, const void *data, size_t bytes, int root, void **out,
                        size_t **sizes) {
    ASSERT(root >= 0 && root < comm->size && (data != NULL || bytes == 0));
    *out = NULL;
    *sizes = NULL;
    TRY(make_room(comm, bytes, comm->rank == root, out, sizes));
    const enum status status = comm->ops->gather(comm, data, bytes, *out, *sizes, root);
    if (status != STATUS_OK)
        memory_release(out);
    if (status != STATUS_OK || comm->rank != root)
        memory_release(sizes);
    return status;
}

enum status comm_all_gather(struct comm *comm, const void *data, size_t bytes, void **out,
                            size_t **sizes) {
    ASSERT(data != NULL || bytes == 0);
    *out = NULL;
    *sizes = NULL;
    TRY(make_room(comm, bytes, true, out, sizes));
    const enum status status = comm->ops->all_gather(comm, data, bytes, *out, *sizes);
    if (status != STATUS_OK) {
        memory_release(out);
        memory_release(sizes);
    }
    return status;
}

enum status comm_words_begin(struct comm *comm, int64_t word, int64_t *words) {
    return comm->ops->words_begin(comm, word, words);
}

enum status comm_words_test(struct comm *comm, bool wait, bool *come) {
    return comm->ops->words_test(comm, wait, come);
}

enum status comm_words(struct comm *comm, int64_t word, int64_t *words) {
    bool come;
    TRY(comm_words_begin(comm, word, words));
    return comm_words_test(comm, true, &come);
}

enum status comm_maximum(struct comm *comm, double *values, int64_t n) {
    ASSERT(n >= 0 && (values != NULL || n == 0));
    return comm->ops->maximum(comm, values, n);
}

enum status comm_sum_exact(struct comm *comm, int64_t *values, int64_t n) {
    ASSERT(n >= 0 && (values != NULL || n == 0));
    return comm->ops->sum_exact(comm, values, n);
}

enum status comm_barrier(struct comm *comm, double deadline_s, const char *what) {
    ASSERT(deadline_s >= 0.0 && what != NULL);
    return comm->ops->barrier(comm, deadline_s, what);
}

enum status comm_split(struct comm *comm, int color, struct comm *out) {
    ASSERT(color >= 0 && out != comm);
    *out = (struct comm){.ops = NULL};
    return comm->ops->split(comm, color, out);
}
