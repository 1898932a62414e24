/* SPDX-License-Identifier: Apache-2.0
 *
 * Speed of this machine's backend against ceilings measured in the same minute: products, decoding
 * training steps, sums over ranks,
 * and gradings. Every figure is the best of several rounds, printed with its share of the
 * ceiling that bounds it. What each function prints is a table on standard output.
 */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "backend/backend.h"
#include "base/status.h"
#include "cli/bench_machine.h"
#include "comm/comm.h"
#include "model/model.h"

struct bench {
    struct backend *backend;
    struct machine_ceilings ceilings;
    double seconds;         /* for each figure */
    enum dtype dtype;       /* of the model's matrices */
    int64_t groups;         /* that a step has */
    const int64_t *rows;    /* (row_count): of products */
    const int64_t *answers; /* (answer_count): decoded together */
    int row_count, answer_count;
};

enum { BENCH_ANSWERS_MOST = 512 };

/* gemm, gemm_dx and gemm_dw on the shapes of a model of that shape,
 * against the multiply-add peak. */
enum status bench_gemm(const struct bench *bench, const struct hparams *hparams) MUST_USE;

/* The output head and its gradient, beside their products alone. */
enum status bench_head(const struct bench *bench, const struct hparams *hparams) MUST_USE;

/* The loss of a distillation over so many tokens (0: as many rows as products have at most), and its
 * gradient, beside their products alone. */
enum status bench_distill(const struct bench *bench, const struct hparams *hparams,
                          int64_t tokens) MUST_USE;

/* Decoding so many answers behind one prompt of 64 tokens: tokens/s, share of the read
 * bandwidth (weights and keys read once a step) and of the multiply-add peak. */
enum status bench_decode(const struct bench *bench, struct model *model) MUST_USE;

/* Groups of a step, packed: each a prompt of 100 and 8 answers of 128 tokens. */
enum { BENCH_PROMPT = 100, BENCH_ANSWERS = 8, BENCH_TOKENS = 128 };
struct bench_groups {
    struct model *model;
    struct batch batch;
    float *logprob, *entropy, *d_logprob; /* of all answers' tokens */
};
enum status bench_groups_init(struct bench_groups *groups, struct model *model,
                              int64_t count) MUST_USE;
void bench_groups_release(struct bench_groups *groups);

/* Their forward and backward; the gradient goes to the sink. */
enum status bench_groups_gradient(struct bench_groups *groups,
                                  const struct gradient_sink *sink) MUST_USE;

/* The add of a sink whose context is a struct gradient. */
enum status bench_give(void *gradient, const struct gradient_piece *piece) MUST_USE;

/* A whole step of GRPO on those groups: drawing their answers, the gradient, AdamW. */
enum status bench_grpo(const struct bench *bench, struct model *model) MUST_USE;

/* The sums of a gradient over the ranks of the job, one group each: exact, fast, and on shards, as
 * time, as share of the ceiling of a copy by all ranks at once, and as share of the gradient itself.
 * Collective; rank 0 prints. */
enum status bench_reduce(const struct bench *bench, struct model *model,
                         struct comm *comm) MUST_USE;

/* The vectors of a step of gxpo on all weights of that shape, or with rank > 0 on an adapter of all
 * matrices: bytes counted, time, share of the copy. */
enum status bench_update(const struct bench *bench, const struct hparams *shape,
                         int64_t rank) MUST_USE;

/* Forward and backward of the groups (each a prompt of 100, 8 answers of 128 tokens): positions/s and share of
 * the peak. `adapter` is the model's, which alone is trained then, or NULL. */
enum status bench_step(const struct bench *bench, struct model *model,
                       const struct adapter *adapter) MUST_USE;

/* Gradings of mathematical answers a second on one core: of the lines { prediction, answer } of a
 * file, or of some that stand in the program. */
enum status bench_grade(double seconds, const char *path) MUST_USE;

#endif
