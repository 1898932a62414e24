/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding over pages: what the host has to say of the rows goes to the device once
 * (decode_prepare); then steps run there, recorded as graphs, one for each class of numbers of rows.
 */
#include "cuda/cuda.h"

#include "base/memory.h"
#include "cuda/kernel/append.h"
#include "cuda/kernel/attention_decode.h"

/* A step of `rows` rows has as many blocks, of which those behind the last with rows are empty. */
struct plan_state {
    struct attention_decode_block *blocks; /* on the device */
    int64_t capacity, rows, rows_per_block;
    int64_t serial; /* of the plan */
};

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static enum status make_state(struct backend *backend, struct decode_plan *plan) {
    TRY(memory_allocate(&plan->state, 1, sizeof(struct plan_state), "rows being decoded"));
    ((struct plan_state *)plan->state)->serial = ++cuda_state(backend)->graphs.plans;
    return STATUS_OK;
}

static enum status reserve_blocks(struct backend *backend, struct plan_state *state, int64_t rows) {
    void *memory = NULL;
    if (rows <= state->capacity)
        return STATUS_OK;
    cuda_release(backend, state->blocks);
    state->blocks = NULL;
    state->capacity = 0;
    TRY(cuda_allocate(backend, &memory, (size_t)rows * sizeof *state->blocks,
                      "rows being decoded"));
    state->blocks = memory;
    state->capacity = rows;
    return STATUS_OK;
}

/* A step that was recorded for so many rows says how they are put into blocks; bits do not depend on
 * it. */
enum status cuda_decode_prepare(struct backend *backend, struct decode_plan *plan) {
    struct attention_decode_block *blocks = NULL;
    if (plan->D > ATTENTION_HEAD_MAX)
        return FAIL(STATUS_INPUT,
                    "heads of %lld numbers are larger than the %d that attention on "
                    "the GPU takes",
                    (long long)plan->D, (int)ATTENTION_HEAD_MAX);
    if (plan->state == NULL)
        TRY(make_state(backend, plan));
    struct plan_state *state = plan->state;
    state->rows = larger(plan->B, plan->rows);
    TRY(reserve_blocks(backend, state, larger(state->rows, plan->most)));
    TRY(cuda_host_scratch(backend, &blocks, (size_t)(state->rows + 1) * sizeof *blocks));
    const struct cuda_graph *graph = cuda_graph_of(backend, state->serial, state->rows);
    state->rows_per_block = graph != NULL
                                ? graph->rows_per_block
                                : attention_decode_rows(plan->prompts, plan->B, plan->K,
                                                        cuda_state(backend)->facts.processors);
    const int64_t count =
        attention_decode_blocks(plan->prompts, plan->B, state->rows_per_block, blocks);
    for (int64_t i = count; i < state->rows; i++)
        blocks[i] = (struct attention_decode_block){.begin = 0, .count = 0};
    return cuda_upload(backend, state->blocks, blocks, (size_t)state->rows * sizeof *blocks);
}

void cuda_decode_discard(struct backend *backend, struct decode_plan *plan) {
    struct plan_state *state = plan->state;
    if (state != NULL)
        cuda_release(backend, state->blocks);
    memory_release(&plan->state);
}

static struct cache_layer layer_of(const struct cache_pool *pool, int64_t layer) {
    return (struct cache_layer){
        .pool = pool->memory, .page_elements = pool->page_elements, .layer = layer};
}

enum status cuda_cache_store(struct backend *backend, const struct cache_store_args *args) {
    return CUDA_LAUNCH(backend, cache_store, .dtype = args->pool.dtype, .qkv = args->qkv,
                       .pages = args->pages, .slots = args->slots,
                       .cache = layer_of(&args->pool, args->layer), .B = args->B, .H = args->H,
                       .K = args->pool.K, .D = args->pool.D);
}

enum status cuda_attention_decode(struct backend *backend,
                                  const struct attention_decode_args *args) {
    const struct decode_plan *plan = args->plan;
    const struct plan_state *state = plan->state;
    return CUDA_LAUNCH(backend, attention_decode, .dtype = args->pool.dtype, .qkv = args->qkv,
                       .out = args->out, .page_numbers = args->page_numbers,
                       .prompt_begin = args->prompt_begin, .own_begin = args->own_begin,
                       .prompt_length = args->prompt_length, .own_length = args->own_length,
                       .blocks = state->blocks, .cache = layer_of(&args->pool, args->layer),
                       .block_count = state->rows, .rows_per_block = state->rows_per_block,
                       .B = state->rows, .H = plan->H, .K = plan->K, .D = plan->D);
}

enum status cuda_decode_append(struct backend *backend, const struct decode_append_args *args) {
    return CUDA_LAUNCH(backend, append, .append = *args);
}

/* --- steps that are recorded --- */

/* Powers of two up to 64, then four classes from one to the next: a step has at most a quarter of rows
 * that are not there where their number costs time. */
int64_t cuda_decode_rows(const struct backend *backend, int64_t B, int64_t most) {
    int64_t power = 1;
    (void)backend;
    while (power < B)
        power *= 2;
    const int64_t step = power > 64 ? power / 8 : power, rows = (B + step - 1) / step * step;
    return rows < most ? rows : larger(B, most);
}

static int64_t classes(const struct backend *backend, int64_t most) {
    int64_t count = 0;
    for (int64_t rows = 1; rows <= most; count++)
        rows = cuda_decode_rows(backend, rows, most) + 1;
    return count;
}

/* What the graphs of all classes take, as they are made or not. */
static enum status book_graphs(struct backend *backend, const struct decode_plan *plan,
                               int64_t operations) {
    struct cuda_graphs *graphs = &cuda_state(backend)->graphs;
    const size_t bytes = (size_t)(classes(backend, larger(plan->B, plan->most)) * operations *
                                  CUDA_GRAPH_NODE_BYTES);
    if (bytes <= graphs->booked_bytes)
        return STATUS_OK;
    graphs->booked_bytes = bytes;
    if (graphs->booked == NULL)
        return memory_pretend(&graphs->booked, bytes, 1, "graphs of decoding steps, about");
    return memory_pretend_more(graphs->booked, bytes);
}

const struct cuda_graph *cuda_graph_of(const struct backend *backend, int64_t plan, int64_t rows) {
    const struct cuda_graphs *graphs = &cuda_state(backend)->graphs;
    for (int i = 0; i < graphs->count; i++)
        if (graphs->list[i].plan == plan && graphs->list[i].rows == rows)
            return &graphs->list[i];
    return NULL;
}

/* The graph for so many rows, perhaps of an earlier plan; NULL: there is none. */
static struct cuda_graph *graph_for(struct cuda_graphs *graphs, int64_t rows) {
    for (int i = 0; i < graphs->count; i++)
        if (graphs->list[i].rows == rows)
            return &graphs->list[i];
    return NULL;
}

/* Where there is no room, the last has to go. */
static struct cuda_graph *another_graph(struct cuda_graphs *graphs) {
    return &graphs->list[graphs->count < CUDA_GRAPHS_MAX ? graphs->count++ : CUDA_GRAPHS_MAX - 1];
}

/* What the graph of this step would have been recorded with. */
static struct cuda_graph wanted_graph(const struct backend *backend,
                                      const struct decode_plan *plan) {
    const struct plan_state *state = plan->state;
    return (struct cuda_graph){.plan = state->serial,
                               .rows = state->rows,
                               .rows_per_block = state->rows_per_block,
                               .arguments = plan->arguments,
                               .blocks = state->blocks,
                               .scratch = cuda_state(backend)->scratch.memory};
}

static bool serves(const struct cuda_graph *graph, const struct cuda_graph *wanted) {
    return graph != NULL && graph->plan == wanted->plan && graph->rows == wanted->rows &&
           graph->rows_per_block == wanted->rows_per_block &&
           graph->arguments == wanted->arguments && graph->blocks == wanted->blocks &&
           graph->scratch == wanted->scratch;
}

/* Records what a step puts into the stream. A graph of as many rows, of an earlier plan or with other
 * arguments, becomes the new one, whose operations are mostly the same. */
static enum status record(struct backend *backend, struct cuda_graph *graph,
                          const struct decode_plan *plan, enum status (*step)(void *context),
                          void *context) {
    struct cuda_state *state = cuda_state(backend);
    struct device *device = &state->device;
    void *recorded = graph->graph;
    TRY(device_capture_begin(device, device->stream));
    state->records = true;
    enum status status = step(context);
    state->records = false;
    const enum status ended = device_capture_end(device, device->stream, &recorded);
    *graph = wanted_graph(backend, plan);
    graph->graph = recorded;
    backend->steps_recorded++;
    status = status != STATUS_OK ? status : ended;
    if (status != STATUS_OK)
        graph->plan = 0; /* no plan's: it is not to be played */
    return status;
}

/* A step that is not recorded yet is first done as it is, so that scratch has grown and the ways of the
 * products are known; once is not enough to record it. */
enum status cuda_repeat(struct backend *backend, const struct decode_plan *plan, int64_t times,
                        enum status (*step)(void *context), void *context) {
    struct cuda_state *state = cuda_state(backend);
    if (times < 1)
        return STATUS_OK;
    const struct cuda_graph wanted = wanted_graph(backend, plan);
    struct cuda_graph *graph = graph_for(&state->graphs, wanted.rows);
    if (!serves(graph, &wanted)) {
        const int64_t before = state->operations;
        TRY(step(context));
        if (--times == 0)
            return STATUS_OK;
        TRY(book_graphs(backend, plan, state->operations - before));
        if (cuda_plans(backend))
            return STATUS_OK;
        graph = graph != NULL ? graph : another_graph(&state->graphs);
        TRY(record(backend, graph, plan, step, context));
    }
    for (int64_t i = 0; i < times; i++)
        TRY(device_graph_launch(&state->device, graph->graph, state->device.stream));
    return STATUS_OK;
}

void cuda_graphs_close(struct backend *backend) {
    struct cuda_state *state = cuda_state(backend);
    for (int i = 0; i < state->graphs.count; i++)
        if (!state->plans)
            device_graph_destroy(&state->device, state->graphs.list[i].graph);
    state->graphs.count = 0;
    memory_release(&state->graphs.booked);
}
