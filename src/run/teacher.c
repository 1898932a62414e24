/* SPDX-License-Identifier: Apache-2.0 */
#include "run/teacher.h"

#include "run/run.h"

/* --- the mean --- */

/* What is done with the elements of a range: the parameters and the mean. */
typedef enum status range_work(struct backend *backend, float *master, float *mean, float *free,
                               int64_t n, float factor);

static enum status for_ranges(struct run *run, range_work *work, float factor) {
    const struct shard *shard = run->shard;
    const struct teacher *teacher = &run->teacher;
    for (int64_t i = 0; i < shard_range_count(shard, shard->rank); i++) {
        const struct shard_range range = shard_range_at(shard, shard->rank, i);
        float *free = teacher->exchanged != NULL ? teacher->exchanged + range.place : NULL;
        TRY(work(&run->lm.backend, run->master + range.begin, teacher->mean + range.place, free,
                 range.end - range.begin, factor));
    }
    return STATUS_OK;
}

static enum status copy_range(struct backend *backend, float *master, float *mean, float *free,
                              int64_t n, float factor) {
    (void)free, (void)factor;
    return backend_run(backend, copy, .x = master, .out = mean, .n = n);
}

/* mean + (1 − decay) (master − mean) */
static enum status move_range(struct backend *backend, float *master, float *mean, float *free,
                              int64_t n, float factor) {
    (void)free;
    return backend_run(backend, lerp, .x = mean, .y = master, .out = mean, .n = n,
                       .factor = factor);
}

static enum status exchange_range(struct backend *backend, float *master, float *mean, float *free,
                                  int64_t n, float factor) {
    (void)factor;
    TRY(backend_run(backend, copy, .x = master, .out = free, .n = n));
    TRY(backend_run(backend, copy, .x = mean, .out = master, .n = n));
    return backend_run(backend, copy, .x = free, .out = mean, .n = n);
}

/* The teacher's working copy becomes that of the whole mean. */
static enum status refresh(const struct teacher *teacher, const float *mean) {
    return teacher->adapter != NULL ? adapter_refresh(teacher->adapter, mean)
                                    : weights_refresh(teacher->weights, mean);
}

/* Parameters and mean change places, and the parameters are made whole. */
static enum status exchange(struct run *run) {
    TRY(comm_agree(run->comm, for_ranges(run, exchange_range, 0.0f)));
    return shard_gather(run->shard, &run->reducer, run->master);
}

static enum status refresh_sharded(struct run *run) {
    TRY(exchange(run));
    TRY(comm_agree(run->comm, refresh(&run->teacher, run->master)));
    return exchange(run);
}

enum status teacher_restore(struct run *run) {
    if (run->teacher.mean == NULL)
        return STATUS_OK;
    if (run->shard->size > 1)
        return refresh_sharded(run);
    return comm_agree(run->comm, refresh(&run->teacher, run->teacher.mean));
}

enum status teacher_follow(struct run *run) {
    struct teacher *teacher = &run->teacher;
    const float factor = (float)(1.0 - run->settings->distill.ema_decay);
    if (teacher->mean == NULL)
        return STATUS_OK;
    TRY(comm_agree(run->comm,
                   for_ranges(run, teacher->moves > 0 ? move_range : copy_range, factor)));
    teacher->moves++;
    return teacher_restore(run);
}

/* --- its life --- */

static bool is_trained_copy(const struct run *run) {
    return run->settings->distill.teacher == SETTING_TEACHER_EMA;
}

static enum status open_mean(struct run *run) {
    struct teacher *teacher = &run->teacher;
    const int64_t n = run->shard->elements;
    TRY(backend_new(&run->lm.backend, &teacher->mean, n, "moving mean of the teacher"));
    if (run->shard->size > 1)
        TRY(backend_new(&run->lm.backend, &teacher->exchanged, n, "moving mean of the teacher"));
    return for_ranges(run, copy_range, 0.0f);
}

static enum status open_adapter(struct run *run) {
    struct teacher *teacher = &run->teacher;
    struct language_model *lm = &run->lm;
    return adapter_create(&teacher->adapter, &lm->backend, &lm->hparams,
                          language_model_dtype(run->settings), adapter_settings(lm->adapter));
}

/* Of the start; a moving mean takes its place after the first optimizer step. */
static enum status open_weights(struct run *run) {
    struct teacher *teacher = &run->teacher;
    struct language_model *lm = &run->lm;
    TRY(weights_create(&teacher->weights, &lm->backend, &lm->hparams,
                       language_model_dtype(run->settings)));
    return language_model_load_weights(lm, run->settings, teacher->weights, NULL, NULL);
}

enum status teacher_open(struct run *run, const struct model_settings *how) {
    struct teacher *teacher = &run->teacher;
    struct model_settings shared = *how;
    if (!run->method->distils || run->settings->distill.teacher == SETTING_TEACHER_LIVE)
        return STATUS_OK;
    shared.shares = run->lm.model;
    if (run->lm.adapter == NULL)
        TRY(open_weights(run));
    else if (is_trained_copy(run))
        TRY(open_adapter(run));
    if (is_trained_copy(run))
        TRY(open_mean(run));
    return model_create(&teacher->model,
                        teacher->weights != NULL ? teacher->weights : run->lm.weights,
                        teacher->adapter, &shared);
}

void teacher_close(struct run *run) {
    struct teacher *teacher = &run->teacher;
    model_destroy(&teacher->model);
    adapter_destroy(&teacher->adapter);
    weights_destroy(&teacher->weights);
    if (run->lm.backend.ops != NULL) {
        backend_release(&run->lm.backend, &teacher->mean);
        backend_release(&run->lm.backend, &teacher->exchanged);
    }
}

struct model *teacher_model(const struct run *run) {
    const struct teacher *teacher = &run->teacher;
    const bool itself = teacher->model == NULL || (teacher->mean != NULL && teacher->moves == 0);
    return itself ? run->lm.model : teacher->model;
}
