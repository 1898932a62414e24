/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/check/check_ops.h"

#include <string.h>

/* Contiguous (rows, columns), the same with a row stride, and a vector. */
#define MATRIX(rows, columns)          ((struct check_shape){(rows), (columns), (columns)})
#define STRIDED(rows, columns, stride) ((struct check_shape){(rows), (columns), (stride)})
#define VECTOR(n)                      MATRIX(1, (n))

static void floats(struct check_list *list, const char *name, void *slot, enum check_access access,
                   struct check_shape shape) {
    check_add(list, name, slot, CHECK_FLOAT, access, shape);
}

static void optional(struct check_list *list, const char *name, void *slot,
                     enum check_access access, struct check_shape shape) {
    check_add_optional(list, name, slot, CHECK_FLOAT, access, shape);
}

/* Activations (backend.h): fp32, or another type that the backend under check gives them. */
static void activations(struct check_list *list, const char *name, void *slot, enum dtype dtype,
                        enum check_access access, struct check_shape shape) {
    const struct backend *inner = list->memory->inner;
    if (dtype != DTYPE_F32 && inner->ops->activations(inner, dtype) != dtype)
        CHECK_REFUSE(list, "check: %s: argument %s is %s, which \"%s\" does not compute in",
                     list->op, name, dtype_name(dtype), inner->ops->name);
    else
        check_add(list, name, slot, dtype == DTYPE_F32 ? CHECK_FLOAT : CHECK_BF16, access, shape);
}

/* n indices, each at least `least` and below `limit`; gives one more than the largest, 0 when they
 * cannot be read. */
static int64_t indices_from(struct check_list *list, const char *name, const int32_t **slot,
                            int64_t n, int64_t least, int64_t limit) {
    const bool readable = check_add(list, name, slot, CHECK_INT32, CHECK_READ, VECTOR(n));
    int64_t end = 0;
    for (int64_t i = 0; i < n && readable; i++) {
        const int32_t index = (*slot)[i];
        if (index < least || index >= limit)
            CHECK_REFUSE(list, "check: %s: element %lld of argument %s is %d, outside [%lld, %lld)",
                         list->op, (long long)i, name, index, (long long)least, (long long)limit);
        end = index + 1 > end ? index + 1 : end;
    }
    return end;
}

static int64_t indices(struct check_list *list, const char *name, const int32_t **slot, int64_t n,
                       int64_t limit) {
    return indices_from(list, name, slot, n, 0, limit);
}

static void weight(struct check_list *list, const char *name, struct weight *weight,
                   enum check_access access) {
    const size_t bytes =
        list->memory->inner->ops->weight_bytes(weight->rows, weight->columns, weight->dtype);
    const bool single = weight->dtype == DTYPE_F32;
    const int64_t n = (int64_t)(single ? bytes / sizeof(float) : bytes);
    check_add(list, name, &weight->panels, single ? CHECK_FLOAT : CHECK_OPAQUE, access, VECTOR(n));
}

static int64_t qkv_width(int64_t H, int64_t K, int64_t D) {
    return (H + 2 * K) * D;
}

void check_list_pack(struct check_list *list, struct pack_args *a) {
    floats(list, "source", &a->source, CHECK_READ, MATRIX(a->weight.rows, a->weight.columns));
    weight(list, "weight", &a->weight, CHECK_WRITE);
}

/* Files hold what they like: what is not finite among their numbers is told by `bad`. */
void check_list_load(struct check_list *list, struct load_args *a) {
    int64_t rows = 0;
    if (check_add_bytes(list, "sources", &a->sources, (size_t)a->source_count * sizeof *a->sources))
        for (int64_t i = 0; i < a->source_count; i++)
            rows += a->sources[i].rows;
    if (rows != a->weight.rows)
        CHECK_REFUSE(list, "check: %s: argument sources has %lld rows, the weight %lld", list->op,
                     (long long)rows, (long long)a->weight.rows);
    weight(list, "weight", &a->weight, CHECK_WRITE);
    optional(list, "out", &a->out, CHECK_WRITE, MATRIX(a->weight.rows, a->weight.columns));
    check_add_host(list, "bad", &a->bad, CHECK_INT64, CHECK_UPDATE, VECTOR(1));
    list->finite = false;
}

void check_list_unpack(struct check_list *list, struct unpack_args *a) {
    weight(list, "weight", &a->weight, CHECK_READ);
    floats(list, "out", &a->out, CHECK_WRITE, MATRIX(a->weight.rows, a->weight.columns));
}

void check_list_embed(struct check_list *list, struct embed_args *a) {
    weight(list, "table", &a->table, CHECK_READ);
    indices(list, "tokens", &a->tokens, a->T, a->table.rows);
    floats(list, "out", &a->out, CHECK_WRITE, MATRIX(a->T, a->table.columns));
}

void check_list_gemm(struct check_list *list, struct gemm_args *a) {
    const struct check_shape out = STRIDED(a->M, a->weight.rows, a->ldy);
    activations(list, "x", &a->x, a->x_dtype, CHECK_READ, STRIDED(a->M, a->weight.columns, a->ldx));
    weight(list, "weight", &a->weight, CHECK_READ);
    optional(list, "bias", &a->bias, CHECK_READ, VECTOR(a->weight.rows));
    if (a->residual != NULL)
        activations(list, "residual", &a->residual, a->y_dtype, CHECK_READ, out);
    activations(list, "y", &a->y, a->y_dtype, CHECK_WRITE, out);
    check_may_share(list, "y", "residual");
}

void check_list_gemm_dx(struct check_list *list, struct gemm_dx_args *a) {
    activations(list, "dy", &a->dy, a->dy_dtype, CHECK_READ, STRIDED(a->M, a->weight.rows, a->ldy));
    weight(list, "weight", &a->weight, CHECK_READ);
    activations(list, "dx", &a->dx, a->dx_dtype, a->add ? CHECK_UPDATE : CHECK_WRITE,
                STRIDED(a->M, a->weight.columns, a->ldx));
}

void check_list_gemm_dw(struct check_list *list, struct gemm_dw_args *a) {
    const enum check_access access = a->add ? CHECK_UPDATE : CHECK_WRITE;
    activations(list, "dy", &a->dy, a->dy_dtype, CHECK_READ, STRIDED(a->M, a->N, a->ldy));
    activations(list, "x", &a->x, a->x_dtype, CHECK_READ, STRIDED(a->M, a->K, a->ldx));
    floats(list, "dw", &a->dw, access, MATRIX(a->N, a->K));
    optional(list, "dbias", &a->dbias, access, VECTOR(a->N));
}

void check_list_rmsnorm(struct check_list *list, struct rmsnorm_args *a) {
    floats(list, "x", &a->x, CHECK_READ, MATRIX(a->T, a->C));
    floats(list, "weight", &a->weight, CHECK_READ, VECTOR(a->C));
    activations(list, "y", &a->y, a->dtype, CHECK_WRITE, MATRIX(a->T, a->C));
    optional(list, "inverse_rms", &a->inverse_rms, CHECK_WRITE, VECTOR(a->T));
}

void check_list_rmsnorm_backward(struct check_list *list, struct rmsnorm_backward_args *a) {
    floats(list, "x", &a->x, CHECK_READ, MATRIX(a->T, a->C));
    floats(list, "weight", &a->weight, CHECK_READ, VECTOR(a->C));
    floats(list, "inverse_rms", &a->inverse_rms, CHECK_READ, VECTOR(a->T));
    activations(list, "dy", &a->dy, a->dtype, CHECK_READ, MATRIX(a->T, a->C));
    floats(list, "dx", &a->dx, CHECK_UPDATE, MATRIX(a->T, a->C));
    if (a->dweight != NULL)
        floats(list, "dweight", &a->dweight, CHECK_WRITE, VECTOR(a->C));
}

/* What rope and its backward both read. */
static void rope_inputs(struct check_list *list, struct rope_args *a) {
    const int64_t positions = indices(list, "positions", &a->positions, a->T, INT32_MAX);
    floats(list, "table", &a->table, CHECK_READ, MATRIX(positions, a->D));
    if ((a->q_norm == NULL) != (a->k_norm == NULL))
        CHECK_REFUSE(list, "check: %s: one of the arguments q_norm and k_norm is NULL", list->op);
    optional(list, "q_norm", &a->q_norm, CHECK_READ, VECTOR(a->D));
    optional(list, "k_norm", &a->k_norm, CHECK_READ, VECTOR(a->D));
}

void check_list_rope(struct check_list *list, struct rope_args *a) {
    const struct check_shape shape = MATRIX(a->T, qkv_width(a->H, a->K, a->D));
    activations(list, "qkv", &a->qkv, a->dtype, CHECK_READ, shape);
    rope_inputs(list, a);
    activations(list, "out", &a->out, a->dtype, CHECK_WRITE, shape);
    if (a->q_norm == NULL)
        check_may_share(list, "out", "qkv");
}

void check_list_rope_backward(struct check_list *list, struct rope_backward_args *a) {
    struct rope_args *f = &a->forward;
    const struct check_shape shape = MATRIX(f->T, qkv_width(f->H, f->K, f->D));
    rope_inputs(list, f);
    activations(list, "dqkv", &a->dqkv, f->dtype, CHECK_UPDATE, shape);
    if (f->q_norm == NULL)
        return; /* without norms the gradient needs nothing of the forward's values */
    activations(list, "qkv", &f->qkv, f->dtype, CHECK_READ, shape);
    if (a->dq_norm == NULL && a->dk_norm == NULL)
        return;
    floats(list, "dq_norm", &a->dq_norm, CHECK_WRITE, VECTOR(f->D));
    floats(list, "dk_norm", &a->dk_norm, CHECK_WRITE, VECTOR(f->D));
}

void check_list_attention(struct check_list *list, struct attention_args *a) {
    const struct attention_plan *plan = a->plan;
    activations(list, "qkv", &a->qkv, a->dtype, CHECK_READ,
                MATRIX(plan->T, qkv_width(plan->H, plan->K, plan->D)));
    activations(list, "out", &a->out, a->dtype, CHECK_WRITE, MATRIX(plan->T, plan->H * plan->D));
    optional(list, "log_sum", &a->log_sum, CHECK_WRITE, MATRIX(plan->T, plan->H));
}

void check_list_attention_backward(struct check_list *list, struct attention_backward_args *a) {
    struct attention_args *f = &a->forward;
    const struct attention_plan *plan = f->plan;
    const struct check_shape shape = MATRIX(plan->T, qkv_width(plan->H, plan->K, plan->D)),
                             heads = MATRIX(plan->T, plan->H * plan->D);
    activations(list, "qkv", &f->qkv, f->dtype, CHECK_READ, shape);
    activations(list, "out", &f->out, f->dtype, CHECK_READ, heads);
    floats(list, "log_sum", &f->log_sum, CHECK_READ, MATRIX(plan->T, plan->H));
    activations(list, "dout", &a->dout, f->dtype, CHECK_READ, heads);
    activations(list, "dqkv", &a->dqkv, f->dtype, CHECK_WRITE, shape);
}

static void add_page(struct check_list *list, const struct cache_pool *pool, int64_t page,
                     int64_t layer, uint64_t slots) {
    if (page < 0 || page >= pool->page_count)
        CHECK_REFUSE(list, "check: %s: page %lld is outside the %lld of the pool", list->op,
                     (long long)page, (long long)pool->page_count);
    else if (list->status == STATUS_OK)
        check_add_page(list, (float *)pool->memory + page * pool->page_elements,
                       (struct check_page_shape){layer, pool->K, pool->D}, slots);
}

void check_list_cache_store(struct check_list *list, struct cache_store_args *a) {
    const struct cache_pool *pool = &a->pool;
    activations(list, "qkv", &a->qkv, pool->dtype, CHECK_READ,
                MATRIX(a->B, qkv_width(a->H, pool->K, pool->D)));
    indices_from(list, "slots", &a->slots, a->B, -1, CACHE_PAGE);
    indices(list, "pages", &a->pages, a->B, pool->page_count);
    for (int64_t b = 0; b < a->B && list->status == STATUS_OK; b++)
        if (a->slots[b] >= 0)
            add_page(list, pool, a->pages[b], a->layer, (uint64_t)1 << a->slots[b]);
}

static void sequence_pages(struct check_list *list, const struct attention_decode_args *a,
                           int32_t begin, int32_t length) {
    for (int32_t at = 0; at < length && list->status == STATUS_OK; at += CACHE_PAGE)
        if (begin + at / CACHE_PAGE >= a->page_number_count)
            CHECK_REFUSE(list, "check: %s: a sequence ends behind the page numbers", list->op);
        else
            add_page(list, &a->pool, a->page_numbers[begin + at / CACHE_PAGE], a->layer, 0);
}

void check_list_attention_decode(struct check_list *list, struct attention_decode_args *a) {
    const struct decode_plan *plan = a->plan;
    const int64_t B = plan->B, width = qkv_width(plan->H, plan->K, plan->D);
    activations(list, "qkv", &a->qkv, a->pool.dtype, CHECK_READ, MATRIX(B, width));
    activations(list, "out", &a->out, a->pool.dtype, CHECK_WRITE, MATRIX(B, plan->H * plan->D));
    indices(list, "page_numbers", &a->page_numbers, a->page_number_count, a->pool.page_count);
    indices(list, "prompt_begin", &a->prompt_begin, B, a->page_number_count);
    indices(list, "own_begin", &a->own_begin, B, a->page_number_count);
    indices(list, "prompt_length", &a->prompt_length, B, INT32_MAX);
    indices(list, "own_length", &a->own_length, B, INT32_MAX);
    for (int64_t b = 0; b < B && list->status == STATUS_OK; b++) {
        sequence_pages(list, a, a->prompt_begin[b], a->prompt_length[b]);
        sequence_pages(list, a, a->own_begin[b], a->own_length[b]);
    }
}

void check_list_swiglu(struct check_list *list, struct swiglu_args *a) {
    activations(list, "gate_up", &a->gate_up, a->dtype, CHECK_READ, MATRIX(a->T, 2 * a->F));
    activations(list, "out", &a->out, a->dtype, CHECK_WRITE, MATRIX(a->T, a->F));
}

void check_list_swiglu_backward(struct check_list *list, struct swiglu_backward_args *a) {
    activations(list, "gate_up", &a->gate_up, a->dtype, CHECK_READ, MATRIX(a->T, 2 * a->F));
    activations(list, "dout", &a->dout, a->dtype, CHECK_READ, MATRIX(a->T, a->F));
    activations(list, "dgate_up", &a->dgate_up, a->dtype, CHECK_WRITE, MATRIX(a->T, 2 * a->F));
    check_may_share(list, "dgate_up", "gate_up");
}

void check_list_gather_rows(struct check_list *list, struct gather_rows_args *a) {
    const int64_t rows = indices(list, "rows", &a->rows, a->R, INT32_MAX);
    floats(list, "x", &a->x, CHECK_READ, MATRIX(rows, a->C));
    floats(list, "out", &a->out, CHECK_WRITE, MATRIX(a->R, a->C));
}

void check_list_scatter_rows(struct check_list *list, struct scatter_rows_args *a) {
    const int64_t rows = indices(list, "rows", &a->rows, a->R, INT32_MAX);
    floats(list, "x", &a->x, CHECK_READ, MATRIX(a->R, a->C));
    floats(list, "out", &a->out, CHECK_UPDATE, MATRIX(rows, a->C));
}

void check_list_head_block(struct check_list *list, struct head_block_args *a) {
    const int64_t bytes = a->R * (int64_t)sizeof *a->rows;
    if (a->begin % HEAD_BLOCK != 0)
        CHECK_REFUSE(list, "check: head_block: begin is %lld, no multiple of %d",
                     (long long)a->begin, HEAD_BLOCK);
    floats(list, "logits", &a->logits, CHECK_READ, STRIDED(a->R, a->columns, a->ld));
    indices_from(list, "targets", &a->targets, a->R, -1, INT32_MAX);
    check_add(list, "rows", &a->rows, CHECK_OPAQUE, a->begin == 0 ? CHECK_WRITE : CHECK_UPDATE,
              VECTOR(bytes));
}

void check_list_head_finish(struct check_list *list, struct head_finish_args *a) {
    const int64_t bytes = a->R * (int64_t)sizeof *a->rows;
    check_add(list, "rows", &a->rows, CHECK_OPAQUE, CHECK_READ, VECTOR(bytes));
    floats(list, "logprob", &a->logprob, CHECK_WRITE, VECTOR(a->R));
    floats(list, "entropy", &a->entropy, CHECK_WRITE, VECTOR(a->R));
    optional(list, "shift", &a->shift, CHECK_WRITE, VECTOR(2 * a->R));
}

void check_list_head_backward(struct check_list *list, struct head_backward_args *a) {
    const struct check_shape shape = STRIDED(a->R, a->columns, a->ld);
    floats(list, "logits", &a->logits, CHECK_READ, shape);
    indices(list, "targets", &a->targets, a->R, INT32_MAX);
    floats(list, "shift", &a->shift, CHECK_READ, VECTOR(2 * a->R));
    floats(list, "entropy", &a->entropy, CHECK_READ, VECTOR(a->R));
    floats(list, "d_logprob", &a->d_logprob, CHECK_READ, VECTOR(a->R));
    floats(list, "d_entropy", &a->d_entropy, CHECK_READ, VECTOR(a->R));
    activations(list, "out", &a->out, a->dtype, CHECK_WRITE, shape);
    if (a->dtype == DTYPE_F32)
        check_may_share(list, "out", "logits");
}

void check_list_distill_top(struct check_list *list, struct distill_top_args *a) {
    const struct check_shape shape = STRIDED(a->R, a->V, a->ld);
    if (a->k < 1 || a->k > a->V)
        CHECK_REFUSE(list, "check: distill_top: k is %d, outside [1, %lld]", (int)a->k,
                     (long long)a->V);
    floats(list, "student", &a->student, CHECK_READ, shape);
    floats(list, "teacher", &a->teacher, CHECK_READ, shape);
    check_add(list, "top", &a->top, CHECK_OPAQUE, CHECK_WRITE,
              VECTOR(a->R * (int64_t)sizeof *a->top));
}

static void distill_logits(struct check_list *list, struct distill_logits *a) {
    const struct check_shape shape = STRIDED(a->R, a->columns, a->ld);
    if (a->begin % HEAD_BLOCK != 0)
        CHECK_REFUSE(list, "check: %s: begin is %lld, no multiple of %d", list->op,
                     (long long)a->begin, HEAD_BLOCK);
    floats(list, "student", &a->student, CHECK_READ, shape);
    floats(list, "teacher", &a->teacher, CHECK_READ, shape);
    floats(list, "student_shift", &a->student_shift, CHECK_READ, VECTOR(2 * a->R));
    floats(list, "teacher_shift", &a->teacher_shift, CHECK_READ, VECTOR(2 * a->R));
    check_add_optional(list, "top", &a->top, CHECK_OPAQUE, CHECK_READ,
                       VECTOR(a->R * (int64_t)sizeof *a->top));
}

void check_list_distill_block(struct check_list *list, struct distill_block_args *a) {
    distill_logits(list, &a->logits);
    check_add(list, "rows", &a->rows, CHECK_OPAQUE,
              a->logits.begin == 0 ? CHECK_WRITE : CHECK_UPDATE,
              VECTOR(a->logits.R * (int64_t)sizeof *a->rows));
}

void check_list_distill_finish(struct check_list *list, struct distill_finish_args *a) {
    check_add(list, "rows", &a->rows, CHECK_OPAQUE, CHECK_READ,
              VECTOR(a->R * (int64_t)sizeof *a->rows));
    if (a->settings.sampled) {
        floats(list, "logprob", &a->logprob, CHECK_READ, VECTOR(a->R));
        floats(list, "logprob_teacher", &a->logprob_teacher, CHECK_READ, VECTOR(a->R));
    }
    floats(list, "divergence", &a->divergence, CHECK_WRITE, VECTOR(a->R));
    floats(list, "loss", &a->loss, CHECK_WRITE, VECTOR(a->R));
    check_add(list, "clipped", &a->clipped, CHECK_INT32, CHECK_WRITE, VECTOR(a->R));
    check_add(list, "agreement", &a->agreement, CHECK_INT32, CHECK_WRITE, VECTOR(a->R));
    floats(list, "slope", &a->slope, CHECK_WRITE, VECTOR(2 * a->R));
}

void check_list_distill_backward(struct check_list *list, struct distill_backward_args *a) {
    const struct check_shape shape = STRIDED(a->logits.R, a->logits.columns, a->logits.ld);
    distill_logits(list, &a->logits);
    floats(list, "slope", &a->slope, CHECK_READ, VECTOR(2 * a->logits.R));
    floats(list, "weight", &a->weight, CHECK_READ, VECTOR(a->logits.R));
    activations(list, "out", &a->out, a->dtype, CHECK_WRITE, shape);
    if (a->dtype == DTYPE_F32)
        check_may_share(list, "out", "student");
}

/* Tokens seen are looked at one by one. */
static void seen(struct check_list *list, struct sample_args *a) {
    const int64_t rows = indices(list, "seen_rows", &a->seen_rows, a->B, INT32_MAX);
    indices(list, "seen_counts", &a->seen_counts, a->B, a->seen_ld + 1);
    if (!check_add(list, "seen", &a->seen, CHECK_INT32, CHECK_READ, MATRIX(rows, a->seen_ld)) ||
        list->status != STATUS_OK)
        return;
    for (int64_t b = 0; b < a->B; b++)
        for (int32_t i = 0; i < a->seen_counts[b]; i++) {
            const int32_t token = a->seen[a->seen_rows[b] * a->seen_ld + i];
            if (token < 0 || token >= a->V)
                CHECK_REFUSE(list, "check: sample: argument seen holds %d, outside [0, %lld)",
                             token, (long long)a->V);
        }
}

void check_list_sample(struct check_list *list, struct sample_args *a) {
    floats(list, "logits", &a->logits, CHECK_READ, STRIDED(a->B, a->V, a->ld));
    if (a->uniforms != NULL) {
        check_add(list, "uniforms", &a->uniforms, CHECK_DOUBLE, CHECK_READ, VECTOR(a->B));
    } else {
        check_add(list, "counters", &a->counters, CHECK_INT32, CHECK_READ, VECTOR(4 * a->B));
        check_add(list, "seed", &a->seed, CHECK_INT64, CHECK_READ, VECTOR(1));
    }
    check_add(list, "tokens", &a->tokens, CHECK_INT32, CHECK_UPDATE, VECTOR(a->B));
    if ((a->logprob == NULL) != (a->entropy == NULL))
        CHECK_REFUSE(list, "check: sample: one of the arguments logprob and entropy is NULL");
    optional(list, "logprob", &a->logprob, CHECK_WRITE, VECTOR(a->B));
    optional(list, "entropy", &a->entropy, CHECK_WRITE, VECTOR(a->B));
    if (a->settings.presence_penalty != 0.0f)
        seen(list, a);
}

static void integers(struct check_list *list, const char *name, void *slot,
                     enum check_access access, struct check_shape shape) {
    check_add(list, name, slot, CHECK_INT32, access, shape);
}

void check_list_decode_append(struct check_list *list, struct decode_append_args *a) {
    const int64_t B = a->B;
    const int64_t rows = indices(list, "answers", &a->answers, B, INT32_MAX);
    const struct check_shape table = MATRIX(rows, a->most);
    integers(list, "drawn", &a->drawn, CHECK_READ, VECTOR(B));
    floats(list, "logprob", &a->logprob, CHECK_READ, VECTOR(B));
    floats(list, "entropy", &a->entropy, CHECK_READ, VECTOR(B));
    integers(list, "tokens", &a->tokens, CHECK_UPDATE, VECTOR(B));
    integers(list, "positions", &a->positions, CHECK_UPDATE, VECTOR(B));
    integers(list, "counts", &a->counts, CHECK_UPDATE, VECTOR(B));
    integers(list, "counters", &a->counters, CHECK_UPDATE, VECTOR(4 * B));
    integers(list, "pages", &a->pages, CHECK_UPDATE, VECTOR(B));
    integers(list, "slots", &a->slots, CHECK_UPDATE, VECTOR(B));
    integers(list, "ends", &a->ends, CHECK_UPDATE, VECTOR(B));
    indices(list, "prompt_length", &a->prompt_length, B, INT32_MAX);
    indices(list, "own_begin", &a->own_begin, B, a->page_number_count);
    integers(list, "page_numbers", &a->page_numbers, CHECK_READ, VECTOR(a->page_number_count));
    indices(list, "budgets", &a->budgets, B, a->most + 1);
    integers(list, "answer_tokens", &a->answer_tokens, CHECK_UPDATE, table);
    floats(list, "answer_logprobs", &a->answer_logprobs, CHECK_UPDATE, table);
    floats(list, "answer_entropies", &a->answer_entropies, CHECK_UPDATE, table);
    integers(list, "stop_ids", &a->stop_ids, CHECK_READ, VECTOR(a->stop_id_count));
    integers(list, "forced_begins", &a->forced_begins, CHECK_READ, VECTOR(B));
    integers(list, "forced", &a->forced, CHECK_READ, VECTOR(a->forced_count));
    list->finite = false; /* draws that are not finite are what it is to notice */
}

static void refused(struct check_list *list, struct refused **slot) {
    check_add(list, "refused", slot, CHECK_INT64, CHECK_UPDATE, VECTOR(sizeof **slot / 8));
}

void check_list_accumulate(struct check_list *list, struct accumulate_args *a) {
    floats(list, "values", &a->values, CHECK_READ, VECTOR(a->n));
    check_add(list, "total", &a->total, CHECK_INT64, CHECK_UPDATE, VECTOR(a->n));
    refused(list, &a->refused);
}

void check_list_accumulate_rows(struct check_list *list, struct accumulate_rows_args *a) {
    const int64_t rows = indices(list, "rows", &a->rows, a->R, INT32_MAX);
    for (int64_t r = 1; r < a->R && list->status == STATUS_OK; r++)
        if (a->rows[r] <= a->rows[r - 1])
            CHECK_REFUSE(list, "check: %s: element %lld of argument rows does not ascend", list->op,
                         (long long)r);
    floats(list, "values", &a->values, CHECK_READ, MATRIX(a->R, a->C));
    check_add(list, "total", &a->total, CHECK_INT64, CHECK_UPDATE, MATRIX(rows, a->C));
    refused(list, &a->refused);
}

void check_list_resolve(struct check_list *list, struct resolve_args *a) {
    check_add(list, "total", &a->total, CHECK_INT64, CHECK_READ, VECTOR(a->n));
    floats(list, "out", &a->out, CHECK_WRITE, VECTOR(a->n));
}

void check_list_dot(struct check_list *list, struct dot_args *a) {
    floats(list, "x", &a->x, CHECK_READ, VECTOR(a->n));
    floats(list, "y", &a->y, CHECK_READ, VECTOR(a->n));
    check_add(list, "blocks", &a->blocks, CHECK_DOUBLE, CHECK_WRITE,
              VECTOR((a->n + VECTOR_BLOCK - 1) / VECTOR_BLOCK));
}

void check_list_copy(struct check_list *list, struct copy_args *a) {
    floats(list, "x", &a->x, CHECK_READ, VECTOR(a->n));
    floats(list, "out", &a->out, CHECK_WRITE, VECTOR(a->n));
}

void check_list_add(struct check_list *list, struct add_args *a) {
    floats(list, "x", &a->x, CHECK_READ, VECTOR(a->n));
    floats(list, "out", &a->out, CHECK_UPDATE, VECTOR(a->n));
}

void check_list_lerp(struct check_list *list, struct lerp_args *a) {
    floats(list, "x", &a->x, CHECK_READ, VECTOR(a->n));
    floats(list, "y", &a->y, CHECK_READ, VECTOR(a->n));
    floats(list, "out", &a->out, CHECK_WRITE, VECTOR(a->n));
    check_may_share(list, "out", "x");
    check_may_share(list, "out", "y");
}

void check_list_adamw(struct check_list *list, struct adamw_args *a) {
    floats(list, "parameters", &a->parameters, CHECK_UPDATE, VECTOR(a->n));
    floats(list, "exp_avg", &a->exp_avg, CHECK_UPDATE, VECTOR(a->n));
    floats(list, "exp_avg_sq", &a->exp_avg_sq, CHECK_UPDATE, VECTOR(a->n));
    floats(list, "gradient", &a->gradient, CHECK_READ, VECTOR(a->n));
    optional(list, "kept_parameters", &a->kept_parameters, CHECK_WRITE, VECTOR(a->n));
    optional(list, "kept_gradient", &a->kept_gradient, CHECK_WRITE, VECTOR(a->n));
    optional(list, "kept_direction", &a->kept_direction, CHECK_WRITE, VECTOR(a->n));
}

void check_list_adamw_extrapolate(struct check_list *list, struct adamw_extrapolate_args *a) {
    const int64_t n = a->step.n, blocks = (n + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    const enum check_access moments = a->leaves_moments ? CHECK_READ : CHECK_UPDATE;
    if (a->step.kept_parameters != NULL || a->step.kept_gradient != NULL ||
        a->step.kept_direction != NULL)
        CHECK_REFUSE(list, "check: %s: the second step keeps nothing", list->op);
    floats(list, "parameters", &a->step.parameters, CHECK_UPDATE, VECTOR(n));
    floats(list, "exp_avg", &a->step.exp_avg, moments, VECTOR(n));
    floats(list, "exp_avg_sq", &a->step.exp_avg_sq, moments, VECTOR(n));
    floats(list, "gradient", &a->step.gradient, CHECK_READ, VECTOR(n));
    floats(list, "start", &a->start, CHECK_READ, VECTOR(n));
    floats(list, "start_gradient", &a->start_gradient, CHECK_READ, VECTOR(n));
    optional(list, "start_direction", &a->start_direction, CHECK_READ, VECTOR(n));
    check_add(list, "blocks", &a->blocks, CHECK_DOUBLE, CHECK_WRITE,
              VECTOR(blocks * (int64_t)(sizeof *a->blocks / sizeof(double))));
}
