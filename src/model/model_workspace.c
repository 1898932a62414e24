/* SPDX-License-Identifier: Apache-2.0
 *
 * Where activations stand. Spaces grow to the largest batch seen and are never given back before
 * the end, so that a training loop allocates nothing after its first batch of the largest size.
 */
#include "model/model_state.h"

#include "base/memory.h"

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* name, bytes for T rows and R targets. Of N rows the activations of all layers are kept; where one
 * layer's T rows end behind its N, the next one's take over, which come later: `each` is the rows
 * of all layers whose values are kept. */
#define SPACES(X)                                                                                  \
    X(X, "layer inputs", (s->keep ? h->layers * N + T : T) * C * f)                                \
    X(RMS1, "inverse rms of the inputs", s->keep ? each *f : 0)                                    \
    X(RAW, "q and k before their norms", h->qk_norm ? each *S *a : 0)                              \
    X(QKV, "queries, keys, values", each *S *a)                                                    \
    X(ATTENTION, "attention outputs", each *Q *a)                                                  \
    X(LOG_SUM, "attention sums", s->keep ? each * h->H *f : 0)                                     \
    X(X2, "layer middles", s->keep ? each *C *f : 0)                                               \
    X(RMS2, "inverse rms of the middles", s->keep ? each *f : 0)                                   \
    X(GATE_UP, "gate and up", each * 2 * F * a)                                                    \
    X(NORMED, "normed rows", T *C *a)                                                              \
    X(PRODUCT, "gated product", T *F *a)                                                           \
    X(ADAPTED, "inputs of the adapter's second factors", T * s->adapted * a)                       \
    X(HEAD_X, "hidden rows of the targets", R *C *f)                                               \
    X(HEAD_RMS, "inverse rms of the targets", R *f)                                                \
    X(HEAD_NORMED, "normed rows of the targets", s->states ? 0 : R *C *a)                          \
    X(STATES, "hidden states behind the final norm", s->states ? R *C *f : 0)                      \
    X(LOGITS, "logits", logits *f)                                                                 \
    X(HEAD_ROWS, "sums of the head",                                                               \
      s->draw || s->states ? 0 : R * (int64_t)sizeof(struct head_row))                             \
    X(SCORES, "log-probabilities and entropies", s->states ? 0 : 4 * R * f)                        \
    X(INTEGERS, "tokens and positions",                                                            \
      ((s->prompt ? 4 : 2) * T + (s->distill ? 3 : 2) * R) * (int64_t)sizeof(int32_t))             \
    X(TEACHER_NORMED, "normed rows of the teacher", teacher *R *C *a)                              \
    X(TEACHER_LOGITS, "logits of the teacher", teacher *logits *f)                                 \
    X(D_X, "gradient of the residual stream", back *N *C *f)                                       \
    X(D_PRODUCT, "gradient of the gated product", back *N *F *a)                                   \
    X(D_GATE_UP, "gradient of gate and up", back *N * 2 * F * a)                                   \
    X(D_NORMED, "gradient of the normed rows", back *N *C *a)                                      \
    X(D_ATTENTION, "gradient of the attention outputs", back *N *Q *a)                             \
    X(D_QKV, "gradient of queries, keys, values", back *N *S *a)                                   \
    X(D_ADAPTED, "gradient of the adapter's inputs", back *N * s->adapted * a)                     \
    X(D_LOGITS, "gradient of the logits", a < f ? back * logits * a : 0)                           \
    X(D_HEAD_X, "gradient of the targets' hidden rows", back *R *C *f)                             \
    X(D_HEAD, "gradient of the targets' normed rows", back *R *C *f)                               \
    X(D_SCORES, "gradient of the scores", back * 2 * R * f)                                        \
    X(GRADIENT, "gradient of one layer", back *gradient_floats(h, s, block) * f)                   \
    X(GRADIENT_GIVEN, "gradient of one layer, on its way",                                         \
      (s->lasts ? back : 0) * gradient_floats(h, s, block) * f)

static int64_t gradient_floats(const struct hparams *h, const struct space_shape *s,
                               int64_t block) {
    struct parameter_layout layout;
    if (s->layer_factors > 0)
        return s->layer_factors;
    parameters_layout(h, &layout);
    return most(layout.layer_elements, most(block, least(s->T - s->guests, h->V)) * h->C);
}

const char *space_name(enum space space) {
    static const char *const names[SPACE_COUNT] = {
#define X(space, name, bytes) [SPACE_##space] = name,
        SPACES(X)
#undef X
    };
    return names[space];
}

int64_t space_bytes(const struct hparams *h, const struct space_shape *s, enum space space) {
    const int64_t T = s->T, R = s->R, C = h->C, F = h->F, Q = h->H * h->D, f = sizeof(float);
    const int64_t a = (int64_t)dtype_bytes(s->activations);
    const int64_t S = (h->H + 2 * h->K) * h->D, block = least(s->head_columns, h->V);
    const int64_t N = T - s->guests, each = s->keep && !s->recompute ? (h->layers - 1) * N + T : T;
    const int64_t back = s->backward ? 1 : 0, teacher = s->distill ? 1 : 0;
    const bool blocks = !s->distill || s->layer_factors == 0; /* an adapter leaves the head alone */
    const int64_t logits = s->states ? 0
                           : s->draw ? R * logits_stride(h->V)
                           : blocks  ? R * logits_stride(block)
                                     : 0;
    switch (space) {
#define X(space, name, bytes)                                                                      \
    case SPACE_##space:                                                                            \
        return bytes;
        SPACES(X)
#undef X
    case SPACE_COUNT:
        break;
    }
    return 0;
}

enum status workspace_reserve(struct model *model, const struct space_shape *asked) {
    struct workspace *work = model->workspace;
    struct space_shape full = *asked;
    const struct space_shape *shape = &full;
    full.activations = model->activations;
    full.head_columns = model->head_columns;
    if (model->adapter != NULL) {
        full.adapted = model->adapter->widest;
        full.layer_factors = model->adapter->layer_elements;
    }
    for (int i = 0; i < SPACE_COUNT; i++) {
        const int64_t need = space_bytes(&model->hparams, shape, (enum space)i);
        if (need <= work->bytes[i])
            continue;
        backend_release(model->backend, &work->memory[i]);
        work->bytes[i] = 0;
        TRY(backend_allocate(model->backend, &work->memory[i], (size_t)need, 1,
                             space_name((enum space)i)));
        work->bytes[i] = need;
        work->moves++;
    }
    return STATUS_OK;
}

enum status model_reserve(struct model *model, int64_t T, int64_t R, bool lasts) {
    const struct space_shape shape = {.T = T,
                                      .R = R,
                                      .keep = true,
                                      .recompute = model->settings.recompute,
                                      .backward = true,
                                      .lasts = lasts};
    workspace_forget(model);
    return workspace_reserve(model, &shape);
}

void workspace_release(struct model *model) {
    for (int i = 0; model->workspace != NULL && i < SPACE_COUNT; i++)
        backend_release(model->backend, &model->workspace->memory[i]);
    if (model->workspace != NULL)
        attention_plan_release(model->backend, &model->workspace->plan);
    if (model->workspace != NULL)
        distill_memory_release(model->backend, &model->workspace->distill);
    memory_release(&model->workspace);
}

void workspace_swap(struct model *model, enum space a, enum space b) {
    struct workspace *work = model->workspace;
    void *memory = work->memory[a];
    const int64_t bytes = work->bytes[a];
    work->memory[a] = work->memory[b];
    work->bytes[a] = work->bytes[b];
    work->memory[b] = memory;
    work->bytes[b] = bytes;
    work->moves++;
}

enum status workspace_plan(struct model *model, const struct segment *segments,
                           int64_t segment_count) {
    const struct hparams *h = &model->hparams;
    const struct attention_plan_args args = {
        .segments = segments, .segment_count = segment_count, .H = h->H, .K = h->K, .D = h->D};
    return attention_plan_make(model->backend, &model->workspace->plan, &args);
}

void workspace_keep(struct model *model, const struct space_shape *shape) {
    model->workspace->keeper = model;
    model->workspace->kept = *shape;
}

void workspace_forget(struct model *model) {
    model->workspace->keeper = NULL;
}

/* Block `index` of `elements` elements of that type in a space. */
static void *block_at(const struct model *model, enum space space, enum dtype dtype, int64_t index,
                      int64_t elements) {
    char *memory = model->workspace->memory[space];
    return memory == NULL ? NULL : memory + index * elements * (int64_t)dtype_bytes(dtype);
}

static float *floats_at(const struct model *model, enum space space, int64_t index,
                        int64_t elements) {
    return block_at(model, space, DTYPE_F32, index, elements);
}

static void *activations_at(const struct model *model, enum space space, int64_t index,
                            int64_t elements) {
    return block_at(model, space, model->activations, index, elements);
}

struct layer_state layer_state(const struct model *model, const struct space_shape *shape,
                               int64_t layer) {
    const struct hparams *h = &model->hparams;
    const int64_t T = shape->T - shape->guests, C = h->C, S = (h->H + 2 * h->K) * h->D;
    const bool keep = shape->keep;
    const int64_t l = keep && !shape->recompute ? layer : 0;
    struct layer_state s = {
        .x = floats_at(model, SPACE_X, keep ? layer : 0, T * C),
        .inverse_rms1 = keep ? floats_at(model, SPACE_RMS1, l, T) : NULL,
        .qkv = activations_at(model, SPACE_QKV, l, T * S),
        .attention = activations_at(model, SPACE_ATTENTION, l, T * h->H * h->D),
        .log_sum = keep ? floats_at(model, SPACE_LOG_SUM, l, T * h->H) : NULL,
        .inverse_rms2 = keep ? floats_at(model, SPACE_RMS2, l, T) : NULL,
        .gate_up = activations_at(model, SPACE_GATE_UP, l, T * 2 * h->F),
    };
    s.raw = h->qk_norm ? activations_at(model, SPACE_RAW, l, T * S) : s.qkv;
    s.x2 = keep ? floats_at(model, SPACE_X2, l, T * C) : s.x;
    s.next = keep ? floats_at(model, SPACE_X, layer + 1, T * C) : s.x;
    return s;
}

struct batch_integers batch_integers(const struct model *model, const struct space_shape *shape) {
    int32_t *tokens = model->workspace->memory[SPACE_INTEGERS];
    int32_t *targets = tokens + 2 * shape->T;
    int32_t *pages = targets + 2 * shape->R;
    return (struct batch_integers){tokens, tokens + shape->T, targets, targets + shape->R,
                                   pages,  pages + shape->T,  pages};
}
