/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a model and what it tells about itself.
 */
#include "model/model_state.h"

#include "base/memory.h"

#include <inttypes.h>

static enum status create_rope(struct model *model) {
    const int64_t n = model->settings.max_positions * model->hparams.D;
    float *table = NULL;
    enum status status;
    TRY_ELSE(status, done, memory_new(&table, n, "rotary table"));
    rope_table_fill(&model->hparams, model->settings.max_positions, table);
    TRY_ELSE(status, done, backend_new(model->backend, &model->rope, n, "rotary table"));
    TRY_ELSE(
        status, done,
        model->backend->ops->upload(model->backend, model->rope, table, (size_t)n * sizeof(float)));
done:
    memory_release(&table);
    return status;
}

/* What models of one shape can share: the table of rotations and the workspace. */
static enum status create_parts(struct model *model) {
    const struct model *shares = model->settings.shares;
    TRY(memory_new(&model->token_places, model->hparams.V, "places of tokens"));
    if (shares != NULL) {
        ASSERT(shares->backend == model->backend &&
               shares->settings.max_positions >= model->settings.max_positions);
        model->rope = shares->rope;
        model->workspace = shares->workspace;
        return STATUS_OK;
    }
    TRY(memory_new(&model->workspace, 1, "workspace of a model"));
    TRY(workspace_plan(model, NULL, 0)); /* refuses heads for which there is no attention */
    return create_rope(model);
}

enum status model_create(struct model **out, struct weights *weights, struct adapter *adapter,
                         const struct model_settings *settings) {
    const struct hparams *hparams = &weights->hparams;
    if (settings->max_positions < 1 || settings->max_positions > hparams->max_positions)
        return FAIL(STATUS_INPUT,
                    "sequences of %" PRId64 " tokens are asked for, the model was made for 1 … "
                    "%" PRId64 " (max_position_embeddings)",
                    settings->max_positions, hparams->max_positions);
    struct model *model = NULL;
    TRY(memory_new(&model, 1, "a model"));
    model->backend = weights->backend;
    model->hparams = *hparams;
    model->settings = *settings;
    model->weights = weights;
    model->adapter = adapter;
    model->head_columns = model->backend->ops->head_columns;
    model->activations = model->backend->ops->activations(model->backend, weights->dtype);
    const enum status status = create_parts(model);
    if (status != STATUS_OK)
        model_destroy(&model);
    *out = model;
    return status;
}

void model_destroy(struct model **pointer) {
    struct model *model = *pointer;
    if (model == NULL)
        return;
    if (model->settings.shares == NULL) {
        workspace_release(model);
        backend_release(model->backend, &model->rope);
    }
    memory_release(&model->row_places);
    memory_release(&model->row_tokens);
    memory_release(&model->token_places);
    memory_release(pointer);
}

struct backend *model_backend(const struct model *model) {
    return model->backend;
}

const struct hparams *model_hparams(const struct model *model) {
    return &model->hparams;
}

struct weights *model_weights(const struct model *model) {
    return model->weights;
}

const struct parameter_set *model_trained(const struct model *model) {
    return model->adapter != NULL ? adapter_parameters(model->adapter)
                                  : weights_parameters(model->weights);
}

enum status model_refresh(struct model *model, const float *master) {
    return model->adapter != NULL ? adapter_refresh(model->adapter, master)
                                  : weights_refresh(model->weights, master);
}

int64_t model_positions_computed(const struct model *model) {
    return model->positions;
}

int64_t model_positions_decoded(const struct model *model) {
    return model->positions_decoded;
}
