/* SPDX-License-Identifier: Apache-2.0
 *
 * What kernels run on: barriers, collectives, tensor cores, copies, streams and graphs do what
 * kernel.h and device.h say. On the host moreover: what would be wrong on a GPU is seen.
 */
#include "fixture.h"
#include "runtime.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/dtype.h"

enum { N = 96 };

static void fill(float *x, int n, uint64_t seed) {
    for (int i = 0; i < n; i++)
        x[i] = fixture_number(&seed);
}

static int reversed_wrongly(struct device *device, int n, int with_barrier) {
    float x[1024], out[1024];
    int wrong = 0;
    fill(x, n, 1);
    float *dx = fixture_upload(device, x, (size_t)n * sizeof *x),
          *dout = fixture_upload(device, NULL, (size_t)n * sizeof *x);
    MUST(DEVICE_LAUNCH(launch_reverse(device->stream, dx, dout, n, with_barrier)));
    fixture_download(device, out, dout, (size_t)n * sizeof *x);
    for (int i = 0; i < n; i++)
        wrong += out[i] != x[n - 1 - i];
    device_release(device, &dx);
    device_release(device, &dout);
    return wrong;
}

static void test_barrier(struct device *device) {
    CHECK_EQ(reversed_wrongly(device, N, 1), 0);
    CHECK_EQ(reversed_wrongly(device, 1024, 1), 0);
    CHECK_EQ(reversed_wrongly(device, 33, 1), 0);
}

static void test_collectives(struct device *device) {
    float x[32], out[192], sums[32];
    fill(x, 32, 2);
    float *dx = fixture_upload(device, x, sizeof x),
          *dout = fixture_upload(device, NULL, sizeof out);
    MUST(DEVICE_LAUNCH(launch_collectives(device->stream, dx, dout)));
    fixture_download(device, out, dout, sizeof out);
    uint32_t positive = 0, ballot;
    float maximum = x[0];
    for (int i = 0; i < 32; i++) {
        positive |= (uint32_t)(x[i] > 0) << i;
        maximum = fmaxf(maximum, x[i]);
        sums[i] = x[i];
    }
    for (int mask = 16; mask > 0; mask /= 2)
        for (int i = 0; i < mask; i++)
            sums[i] += sums[i + mask];
    for (int i = 0; i < 32; i++) {
        CHECK_NEAR(out[i], x[5], 0);
        CHECK_NEAR(out[32 + i], x[i ^ 3], 0);
        CHECK_NEAR(out[64 + i], x[i + 7 < 32 ? i + 7 : i], 0);
        memcpy(&ballot, &out[96 + i], sizeof ballot);
        CHECK_EQ(ballot, positive);
        CHECK_NEAR(out[128 + i], sums[0], 0);
        CHECK_NEAR(out[160 + i], maximum, 0);
    }
    device_release(device, &dx);
    device_release(device, &dout);
}

static void test_block(struct device *device) {
    enum { BLOCKS = 3 };
    float x[BLOCKS * N], out[2 * BLOCKS * N];
    fill(x, BLOCKS * N, 3);
    x[2 * N + 50] = NAN;
    float *dx = fixture_upload(device, x, sizeof x),
          *dout = fixture_upload(device, NULL, sizeof out);
    MUST(DEVICE_LAUNCH(launch_block(device->stream, dx, dout, BLOCKS, N)));
    fixture_download(device, out, dout, sizeof out);
    for (int b = 0; b < BLOCKS; b++) {
        double sum = 0;
        float maximum = x[b * N];
        for (int i = 0; i < N; i++) {
            sum += x[b * N + i];
            maximum = fmaxf(maximum, x[b * N + i]);
        }
        for (int i = b * N; i < b * N + N; i++) {
            if (b < 2) {
                CHECK_NEAR(out[i], sum, 1e-5);
                CHECK_NEAR(out[BLOCKS * N + i], maximum, 0);
                CHECK(memcmp(&out[i], &out[b * N], sizeof *out) == 0);
            } else {
                CHECK(isnan(out[i]) && isnan(out[BLOCKS * N + i]));
            }
        }
    }
    device_release(device, &dx);
    device_release(device, &dout);
}

/* Whether the 16 × 8 tile has the numbers of plain loops. */
static int tile_wrong(struct device *device, int transposed, int wait) {
    uint16_t a[256], b[128];
    float c[128], d[128];
    uint64_t seed = 4;
    int wrong = 0;
    for (int i = 0; i < 256; i++)
        a[i] = dtype_bf16_bits(fixture_number(&seed));
    for (int i = 0; i < 128; i++) {
        b[i] = dtype_bf16_bits(fixture_number(&seed));
        c[i] = fixture_number(&seed);
    }
    void *da = fixture_upload(device, a, sizeof a), *db = fixture_upload(device, b, sizeof b),
         *dc = fixture_upload(device, c, sizeof c), *dd = fixture_upload(device, NULL, sizeof d);
    MUST(DEVICE_LAUNCH(launch_tile(device->stream, da, db, dc, dd, transposed, wait)));
    fixture_download(device, d, dd, sizeof d);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            double sum = c[8 * i + j];
            for (int k = 0; k < 16; k++) {
                float x, y;
                dtype_to_f32(DTYPE_BF16, &a[16 * i + k], &x, 1);
                dtype_to_f32(DTYPE_BF16, &b[transposed ? 8 * k + j : 16 * j + k], &y, 1);
                sum += (double)x * y;
            }
            wrong += !(fabs(d[8 * i + j] - sum) <= 1e-5);
        }
    device_release(device, &da);
    device_release(device, &db);
    device_release(device, &dc);
    device_release(device, &dd);
    return wrong;
}

static void test_conversions(struct device *device) {
    float x[N], out[4 * N];
    fill(x, N, 5);
    x[0] = 0x1.018p0f; /* ties: down to even, up to even */
    x[1] = 0x1.03p0f;
    x[2] = INFINITY;
    x[3] = 0x1p-130f;
    float *dx = fixture_upload(device, x, sizeof x),
          *dout = fixture_upload(device, NULL, sizeof out);
    MUST(DEVICE_LAUNCH(launch_conversions(device->stream, dx, dout, N)));
    fixture_download(device, out, dout, sizeof out);
    for (int i = 0; i < N; i++) {
        const uint16_t bits = dtype_bf16_bits(x[i]);
        float want;
        dtype_to_f32(DTYPE_BF16, &bits, &want, 1);
        CHECK(out[i] == want && out[N + i] == want && out[2 * N + i] == -want);
        CHECK(out[3 * N + i] == x[i]);
    }
    device_release(device, &dx);
    device_release(device, &dout);
}

/* A graph becomes another, with the same nodes and then with more; a launch that is still in the stream
 * is the old one's. */
static void test_graph_again(struct device *device, void **graph, float *dx) {
    float x[64];
    MUST(device_graph_launch(device, *graph, device->stream)); /* 64, then 32 */
    for (int nodes = 2; nodes <= 3; nodes++) {
        MUST(device_capture_begin(device, device->stream));
        for (int i = 0; i < nodes; i++)
            MUST(DEVICE_LAUNCH(launch_increment(device->stream, dx, 32)));
        MUST(device_capture_end(device, device->stream, graph));
        MUST(device_graph_launch(device, *graph, device->stream));
    }
    fixture_download(device, x, dx, sizeof x);
    CHECK_NEAR(x[0], 6 + 2 + 2 + 3, 0);
    CHECK_NEAR(x[63], 3 + 1, 0);
}

static void test_graph(struct device *device) {
    float x[64] = {0};
    void *graph = NULL, *other, *event, *start;
    float ms = -1;
    bool passed = false;
    float *dx = fixture_upload(device, x, sizeof x);
    MUST(device_capture_begin(device, device->stream));
    MUST(DEVICE_LAUNCH(launch_increment(device->stream, dx, 64)));
    MUST(DEVICE_LAUNCH(launch_increment(device->stream, dx, 32)));
    MUST(device_capture_end(device, device->stream, &graph));
    MUST(device_stream_create(device, &other));
    MUST(device_event_create(device, &event));
    MUST(device_event_create(device, &start));
    MUST(device_event_record(device, start, device->stream));
    for (int i = 0; i < 3; i++)
        MUST(device_graph_launch(device, graph, device->stream));
    MUST(device_event_record(device, event, device->stream));
    MUST(device_event_wait(device, other, event));
    MUST(device_download(device, other, x, dx, sizeof x));
    MUST(device_synchronize(device, other));
    MUST(device_event_passed(device, event, &passed));
    MUST(device_event_elapsed_ms(device, start, event, &ms));
    CHECK(passed && ms >= 0);
    CHECK_NEAR(x[0], 6, 0);
    CHECK_NEAR(x[63], 3, 0);
    test_graph_again(device, &graph, dx);
    device_graph_destroy(device, graph);
    device_event_destroy(device, event);
    device_event_destroy(device, start);
    device_stream_destroy(device, other);
    device_release(device, &dx);
}

/* Memory that grows in place keeps what is in it. */
static void test_pool(struct device *device) {
    const size_t most = (size_t)64 << 20, few = 100, many = (size_t)5 << 20;
    unsigned char *pool = NULL, back[200];
    MUST(device_reserve(device, &pool, most, "a pool"));
    MUST(device_commit(device, pool, few));
    MUST(device_fill(device, device->stream, pool, 7, few));
    MUST(device_commit(device, pool, many));
    MUST(device_fill(device, device->stream, pool + few, 9, many - few));
    fixture_download(device, back, pool, sizeof back);
    CHECK(back[0] == 7 && back[99] == 7 && back[100] == 9);
    fixture_download(device, back, pool + many - sizeof back, sizeof back);
    CHECK(back[199] == 9);
    device_unreserve(device, &pool);
    CHECK(pool == NULL);
}

static void test_facts(struct device *device) {
    struct device_facts facts;
    struct device none;
    MUST(device_facts(device, &facts));
    CHECK(facts.memory_bytes > 0 && facts.name[0] != 0);
    CHECK((facts.uuid[0] == 0) == facts.is_host); /* any number of ranks may share the host */
    CHECK_STATUS(device_open(&none, 1000), STATUS_INPUT, "1000");
    CHECK(device_launched(9, "launch_x") != STATUS_OK);
    CHECK(strstr(status_sentence(), "launch_x") != NULL);
}

/* --- on the host only --- */

/* What the launch says as it ends the process. */
static void expect_end(struct device *device, int kind, const char *words) {
    char text[1024] = "";
    int ends[2], state;
    CHECK(pipe(ends) == 0);
    float *out = fixture_upload(device, NULL, 64 * sizeof *out);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        signal(SIGABRT, SIG_DFL);
        (void)!launch_wrong(device->stream, out, kind);
        (void)!device_synchronize(device, device->stream);
        _exit(0);
    }
    close(ends[1]);
    for (size_t used = 0; used < sizeof text - 1;) {
        const ssize_t n = read(ends[0], text + used, sizeof text - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    close(ends[0]);
    waitpid(child, &state, 0);
    CHECK(WIFSIGNALED(state) || WEXITSTATUS(state) != 0);
    if (strstr(text, words) == NULL || strstr(text, "wrong_kernel") == NULL)
        CHECK_FAILED("kind %d: \"%s\" does not say \"%s\"", kind, text, words);
    device_release(device, &out);
}

static void test_ends(struct device *device) {
    expect_end(device, 0, "waits at __syncthreads, but thread 17 of the block has ended");
    expect_end(device, 1, "but thread 40 of the block has ended");
    expect_end(device, 2, "collective of its warp");
    expect_end(device, 3, "wrote at byte 260 of 260 bytes of shared memory");
    expect_end(device, 4, "no multiple of 16");
    expect_end(device, 5, "16 bytes at byte 256 of 260 bytes of shared memory");
}

static void test_deferred(struct device *device) {
    float x[32], back[32];
    fill(x, 32, 6);
    memset(back, 0, sizeof back);
    float *dx = fixture_upload(device, NULL, sizeof x);
    MUST(device_upload(device, device->stream, dx, x, sizeof x));
    MUST(device_download(device, device->stream, back, dx, sizeof x));
    CHECK_NEAR(back[3], 0, 0); /* nobody has waited yet */
    x[3] = 0.25f;              /* too early: the copy has not been made */
    MUST(device_synchronize(device, device->stream));
    CHECK_NEAR(back[3], 0.25, 0);
    CHECK_STATUS(device_upload(device, device->stream, x, back, sizeof x), STATUS_DEFECT,
                 "do not lie in one block of the device");
    CHECK_STATUS(device_upload(device, device->stream, dx, x, sizeof x + 4), STATUS_DEFECT,
                 "132 bytes");
    device_release(device, &dx);
}

int main(void) {
    struct device device = fixture_open();
    struct device_facts facts;
    MUST(device_facts(&device, &facts));
    test_barrier(&device);
    test_collectives(&device);
    test_block(&device);
    CHECK_EQ(tile_wrong(&device, 0, 1), 0);
    CHECK_EQ(tile_wrong(&device, 1, 1), 0);
    test_conversions(&device);
    test_graph(&device);
    test_pool(&device);
    test_facts(&device);
    if (facts.is_host) {
        CHECK(reversed_wrongly(&device, N, 0) > 0);
        CHECK(tile_wrong(&device, 0, 0) > 0);
        test_ends(&device);
        test_deferred(&device);
    }
    device_close(&device);
    return CHECK_END();
}
