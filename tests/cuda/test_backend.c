/* SPDX-License-Identifier: Apache-2.0
 *
 * The backend around its kernels: uploads longer than the ring of pinned memory, memory that grows in
 * place, that is kept and that runs out, steps that are recorded, and the books of a plan.
 */
#include "fixture.h"

#include "base/memory.h"
#include "cuda/backend_cuda.h"

static void test_uploads(struct backend *b) {
    enum { WORDS = 6 << 20 };
    uint32_t *words = malloc(WORDS * sizeof *words), *back = calloc(WORDS, sizeof *back),
             *memory = NULL;
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = i * 2654435761u;
    CHECK_OK(backend_new(b, &memory, WORDS, "words"));
    CHECK_OK(b->ops->download(b, back, memory, 64)); /* zeroed */
    CHECK(back[0] == 0 && back[15] == 0);
    CHECK_OK(b->ops->upload(b, memory, words, WORDS * sizeof *words));
    memset(words, 0, 64); /* was copied when upload came back */
    CHECK_OK(b->ops->download(b, back, memory, WORDS * sizeof *words));
    int64_t wrong = 0;
    for (uint32_t i = 0; i < WORDS; i++)
        wrong += back[i] != i * 2654435761u;
    CHECK_EQ(wrong, 0);
    backend_release(b, &memory);
    free(words);
    free(back);
}

static void test_growth(struct backend *b) {
    void *memory = NULL;
    uint32_t back[4], ones[2] = {1, 1};
    CHECK_OK(b->ops->reserve(b, &memory, (size_t)1 << 30, "a pool"));
    CHECK_OK(b->ops->commit(b, memory, 8));
    CHECK_OK(b->ops->upload(b, memory, ones, sizeof ones));
    CHECK_OK(b->ops->commit(b, memory, sizeof back));
    CHECK_OK(b->ops->download(b, back, memory, sizeof back));
    CHECK(back[0] == 1 && back[1] == 1 && back[2] == 0 && back[3] == 0);
    b->ops->release(b, memory);
}

enum { TOLERATED = 4 << 20 }; /* a GPU gives pages of 2 MiB; the host what is asked for */

/* What is released serves the next that asks for as much, and goes back when something else is asked
 * for; pages of a pool serve the next pool. */
static void test_kept(struct backend *b, bool host) {
    float *x = NULL, *y = NULL, back[2] = {1, 1};
    void *pool = NULL;
    CHECK_OK(backend_new(b, &x, 1000, "x"));
    CHECK_OK(b->ops->upload(b, x, back, sizeof back));
    const float *first = x;
    int64_t outside, before;
    CHECK_OK(b->ops->outside(b, &before));
    const int64_t taken = b->blocks_taken;
    for (int i = 0; i < 3; i++) {
        backend_release(b, &x);
        CHECK_OK(backend_new(b, &x, 1000, "x"));
        CHECK(x == first);
    }
    CHECK_EQ(b->blocks_taken, taken);
    CHECK_OK(b->ops->download(b, back, x, sizeof back)); /* zeroed all the same */
    CHECK(back[0] == 0 && back[1] == 0);
    CHECK_OK(backend_new(b, &y, 7777, "y"));
    CHECK_EQ(b->blocks_taken, taken + 1);
    for (int64_t more = 0; more < 3; more++) {
        CHECK_OK(b->ops->reserve(b, &pool, (size_t)(500000 + 1000 * more), "another pool"));
        CHECK_OK(b->ops->commit(b, pool, 9000));
        b->ops->release(b, pool);
    }
    CHECK_EQ(b->blocks_taken, taken + 2);   /* its addresses */
    CHECK_OK(b->ops->outside(b, &outside)); /* blocks are not outside, in use or kept */
    CHECK(host ? outside == before
               : outside >= before - TOLERATED && outside <= before + TOLERATED);
    backend_release(b, &x);
    backend_release(b, &y);
}

/* On the host, which can have as little memory as one likes: what is kept makes room, and where there
 * is none a sentence says who has it. */
static void test_full(struct backend *b) {
    float *x = NULL, *y = NULL;
    setenv("GRADUS_HOST_MIB", "1", 1);
    CHECK_OK(backend_new(b, &x, 150000, "numbers of the first"));
    backend_release(b, &x);
    CHECK_OK(backend_new(b, &x, 180000, "numbers of the second"));
    CHECK_STATUS(backend_new(b, &y, 100000, "numbers of the third"), STATUS_MEMORY,
                 "400128 bytes of numbers of the third; 720128 of its 1048576 are taken. This rank "
                 "holds");
    CHECK(strstr(status_sentence(), "0.7 MiB of numbers of the second") != NULL);
    CHECK(strstr(status_sentence(), "`gradus plan`") != NULL);
    CHECK_OK(backend_new(b, &y, 1000, "numbers of the third"));
    backend_release(b, &x);
    backend_release(b, &y);
    unsetenv("GRADUS_HOST_MIB");
}

/* --- steps --- */

struct steps {
    struct backend *backend;
    float *x, *y;
    bool uploads;
    int calls;
};

static enum status step(void *context) {
    struct steps *s = context;
    const float one = 1;
    s->calls++;
    if (s->uploads)
        TRY(s->backend->ops->upload(s->backend, s->x, &one, sizeof one));
    return backend_run(s->backend, add, .x = s->x, .out = s->y, .n = 5);
}

static void test_repeat(struct backend *b) {
    const int64_t before = b->steps_recorded;
    float ones[5] = {1, 1, 1, 1, 1}, back[5];
    struct steps s = {.backend = b};
    struct decode_plan plan = {.B = 1, .H = 1, .K = 1, .D = 64, .prompts = &(int32_t){0}};
    CHECK_OK(backend_new(b, &s.x, 5, "x"));
    CHECK_OK(backend_new(b, &s.y, 5, "y"));
    CHECK_OK(b->ops->upload(b, s.x, ones, sizeof ones));
    CHECK_OK(b->ops->decode_prepare(b, &plan));
    for (int times = 0; times < 40; times += 13)
        CHECK_OK(b->ops->repeat(b, &plan, times, step, &s));
    CHECK_OK(b->ops->download(b, back, s.y, sizeof back));
    for (int i = 0; i < 5; i++)
        CHECK_NEAR(back[i], 13 + 26 + 39, 0);
    CHECK_EQ(s.calls, 2); /* the first, and the recorded one */
    CHECK_EQ(b->steps_recorded - before, 1);
    plan.arguments++;
    CHECK_OK(b->ops->repeat(b, &plan, 1, step, &s)); /* once is not enough to record it */
    CHECK_OK(b->ops->repeat(b, &plan, 3, step, &s));
    CHECK_EQ(s.calls, 5);
    CHECK_EQ(b->steps_recorded - before, 2);
    plan.arguments++;
    s.uploads = true;
    for (int again = 0; again < 2; again++) /* what failed is not played */
        CHECK_STATUS(b->ops->repeat(b, &plan, 2, step, &s), STATUS_DEFECT,
                     "takes something from the host");
    CHECK_OK(b->ops->synchronize(b));
    b->ops->decode_discard(b, &plan);
    backend_release(b, &s.x);
    backend_release(b, &s.y);
}

/* Every number of rows has a class that is not much larger, and a class is its own. */
static void test_classes(struct backend *b) {
    enum { MOST = 1000 };
    int64_t count = 0, last = 0;
    for (int64_t B = 1; B <= MOST; B++) {
        const int64_t rows = b->ops->decode_rows(b, B, MOST);
        CHECK(rows >= B && rows <= MOST && rows >= last);
        CHECK(rows <= 64 ? rows < 2 * B : 4 * rows <= 5 * B + 3);
        CHECK_EQ(b->ops->decode_rows(b, rows, MOST), rows);
        count += rows != last;
        last = rows;
    }
    CHECK(count <= 24);
    CHECK_EQ(b->ops->decode_rows(b, 90, 93), 93);
    CHECK_EQ(b->ops->decode_rows(b, 90, 80), 90);
}

/* What an operation takes as scratch, and what is allocated, is in the books of a plan as in those of
 * the backend. */
static int64_t booked(bool plans) {
    struct backend b;
    float *x = NULL;
    void *pool = NULL;
    const int64_t before = memory_totals().bytes;
    CHECK_OK((plans ? backend_plan : backend_open)(&b, "cuda", 1));
    CHECK_OK(backend_new(&b, &x, 1000, "x"));
    CHECK_OK(b.ops->reserve(&b, &pool, (size_t)1 << 30, "a pool"));
    CHECK_OK(b.ops->commit(&b, pool, 5000));
    int64_t *total = NULL;
    struct refused *refused = NULL;
    CHECK_OK(backend_new(&b, &total, 1000, "sums"));
    CHECK_OK(backend_new(&b, &refused, 1, "sums"));
    CHECK_OK(backend_run(&b, accumulate, .values = x, .total = total, .n = 1000, .bound = 1,
                         .refused = refused));
    CHECK_OK(b.ops->upload(&b, x, &(float){1}, sizeof *x));
    CHECK_OK(backend_run(&b, rmsnorm_backward, .x = x, .weight = x, .inverse_rms = x, .dy = x,
                         .dx = x + 500, .dweight = x + 900, .T = 10, .C = 10));
    const int64_t held = memory_totals().bytes - before;
    b.ops->release(&b, pool);
    backend_release(&b, &x);
    backend_release(&b, &total);
    backend_release(&b, &refused);
    backend_close(&b);
    CHECK_EQ(memory_totals().bytes, before);
    return held;
}

int main(void) {
    struct device device = fixture_open(); /* skips without one */
    struct device_facts facts;
    struct backend b;
    MUST(device_facts(&device, &facts));
    device_close(&device);
    backend_add(&cuda_backend);
    CHECK_OK(backend_open(&b, "cuda", 1));
    test_uploads(&b);
    test_growth(&b);
    test_repeat(&b);
    test_classes(&b);
    test_kept(&b, facts.is_host);
    backend_close(&b);
    CHECK_OK(backend_open(&b, "cuda", 1));
    if (facts.is_host)
        test_full(&b);
    backend_close(&b);
    CHECK_EQ(booked(true), booked(false));
    return CHECK_END();
}
