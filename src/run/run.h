/* SPDX-License-Identifier: Apache-2.0
 *
 * A run: everything that one training run is made of, opened from its settings and closed again. A
 * run keeps no globals and takes its communicator, so that several runs can live on parts of the
 * ranks.
 *
 *     setup.c    opens and closes it
 *     rows.c     which rows it takes, and how long they get
 *     reserve.c  what it has on its device to the end: models, optimizer, gradient
 *     rehearsal.c   a step without its numbers, for their memory
 *     plan.c     what it will hold, compute and write, without doing so
 *     problem.c  the gradient of the real model, as an update rule sees it
 *     taught.c   the same of a microbatch beside its teacher
 *     discrimination.c   and of one that the discriminator judges
 *     teacher.c  who that is
 *     rule.c     what the rule moves and keeps
 *     measure.c  from a step's sums to its metrics
 *     output.c   the files in run.directory
 *     state.c    what outlives a kill
 *     evaluation.c   benchmarks on the way
 *     mauve_watch.c  MAUVE on the way
 *     saving.c   a checkpoint in the making
 *     save.c     when one is due; the model
 *     restart_choose.c, restart.c   going on from one
 *     train.c    the loop
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/pulse.h"
#include "base/status.h"
#include "comm/comm.h"
#include "comm/reducer.h"
#include "config/settings.h"
#include "data/stream.h"
#include "file/provenance.h"
#include "method/judged.h"
#include "method/method.h"
#include "method/reasoning.h"
#include "method/rewards.h"
#include "method/teaching.h"
#include "model/fingerprint.h"
#include "objective/loss.h"
#include "objective/tau.h"
#include "optim/gradient.h"
#include "optim/optimizer.h"
#include "optim/shard.h"
#include "optim/vector.h"
#include "rollout/rollout.h"
#include "rollout/tile.h"
#include "run/diagnosis.h"
#include "run/diagnostics.h"
#include "run/discrimination.h"
#include "run/evaluation.h"
#include "run/flat.h"
#include "run/heartbeat.h"
#include "run/language_model.h"
#include "run/lock.h"
#include "run/mauve_watch.h"
#include "run/metrics.h"
#include "run/model_directory.h"
#include "run/restart.h"
#include "run/taught.h"
#include "run/teacher.h"
#include "run/wall_time.h"
#include "update/update.h"

/* Counters that grow over the whole run: part of its state. */
struct run_counters {
    int64_t step; /* finished steps */
    int64_t backward_passes, optimizer_steps, tokens, prompts;
};

/* The checkpoint that is kept beside the newest. */
struct best {
    int64_t step, metric; /* 0: none yet; a number for checkpoint.best */
    double value;
};

/* One backward pass of a step, over one mini-batch, seen from all ranks alike. */
struct backward_pass {
    int64_t begin, end;       /* groups of its mini-batch */
    struct loss_sums *groups; /* (end − begin) */
    double grad_norm;         /* before clipping */
    /* Of the game, where its gradients are summed apart before they are added: what the discriminator's
     * batch gives, before it is added to `groups`, and the norms of both */
    struct loss_sums *judged; /* (end − begin); or NULL */
    double norm_generator, norm_discriminator;
};

/* What the current step has taken so far, on this rank. */
struct step_clock {
    double start_s, gradient_s, reduce_s, optimizer_s, diagnosis_s, mauve_s, write_s;
    double exchange_s; /* the part of the current gradient's computation that was reduction */
    struct collect_report collect;
};

/* The current step, from its batch to what its passes over it gave: empty before the first. */
struct step {
    struct rollout rollout;
    struct judged judged;               /* of the adversarial game: what its discriminator reads */
    struct backward_pass *passes;       /* (pass_room) */
    int pass_room, pass_count;          /* that the rule may take, and that it has taken */
    struct update_report report;        /* of the rule */
    struct backward_pass discriminator; /* of the discriminator's own step, over the whole batch */
    double learning_rate, head_learning_rate;
    int64_t train_positions; /* through the blocks in its microbatches, this rank */
    int64_t rescaled;        /* gradients repeated at a smaller scale */
    int64_t blocks_before;   /* that the backend had taken from its device before */
    bool changed;            /* parameters are no longer those of before the step */
    struct step_clock clock;
};

/* What the update rule keeps within a step: places of the shard, backend memory. */
enum { RULE_SLOTS = UPDATE_SLOT_FORETOLD + 1 };
struct rule_memory {
    float *slots[RULE_SLOTS]; /* NULL: the rule has no such slot */
    struct optimizer_saved saved;
    double start_scale; /* what the last step's gradient was clipped by */
};

/* What a tile's gradient is computed in; grows with the largest microbatch. */
struct tile_buffers {
    struct microbatch microbatch;
    float *logprob, *entropy, *d_logprob, *d_entropy; /* (targets of the microbatch) */
    struct distill_numbers taught;                    /* the same, of opsd */
    struct discrimination_buffers discrimination;     /* and of the discriminator */
};

/* The longest rows that a run may meet, in tokens; an answer that is drawn counts as long as it may
 * get. */
struct row_lengths {
    int64_t prompt, answer, both;
    int64_t teacher; /* of opsd: the teacher's prompt */
    /* Of the adversarial game: what stands before a completion to be judged, and what behind it where
     * the discriminator reasons */
    int64_t judged, reasoned;
};

/* Rank 0's files in run.directory; on the others but for one number empty. */
struct run_files {
    struct lock *lock;         /* NULL: nothing is open */
    char id[96];               /* of this run, for all its attempts; no two runs share one */
    int64_t attempt;           /* starts of the program on this run, from 1 */
    struct model_files *model; /* what goes beside the weights, as it was at the start */
    struct strbuf settings_text, hosts, devices;
    struct provenance provenance;
    struct provenance_input *inputs;
    int64_t checkpoint_step; /* newest checkpoint, 0 when there is none; on all ranks */
    double checkpoint_s;     /* when it was begun */
    double beat_s;           /* when status.json was */
};

struct run {
    const struct settings *settings; /* borrowed */
    struct comm *comm;               /* borrowed */
    bool plans;                      /* opened by run_plan */
    const struct method *method;
    const struct update_rule *rule;
    struct loss_settings loss; /* its gate's τ are those of the current step */
    struct tau_settings tau_settings;

    struct language_model lm;
    struct model *
        reference; /* the policy without its adapter, or as it was at the start; NULL without a KL term */
    struct weights *reference_weights; /* a copy of its own, or NULL with an adapter */
    struct teacher teacher;            /* of opsd */
    struct teaching teaching;          /* what it reads */
    struct reasoning reasoning;        /* of a discriminator that reasons */
    struct stream *stream;
    struct corpus *corpus;      /* NULL: prompts are rows of data.train */
    struct row_lengths longest; /* of the stream */
    int64_t max_positions;      /* of the longest sequence that the models take */
    struct tiles tiles;
    struct rewards *rewards; /* NULL for a method without */
    int64_t
        algorithms[BACKEND_ALGORITHM_WORDS]; /* of the backend, when it was last saved or read */
    struct fingerprint fingerprint;          /* of the weights in model.path, in the making */
    char weights_sha256[FINGERPRINT_TEXT_BYTES]; /* and made */
    int64_t *position;           /* of the stream, before the current step; for state.c, after it */
    struct pulse pulse;          /* beats between the parts of a step */
    struct heartbeat *heartbeat; /* while it trains */

    float *master; /* flat fp32 parameters, backend memory */
    struct vector_layout *layout;
    struct shard *shard;    /* which elements' state this rank holds: all, without parallel.shard */
    struct reducer reducer; /* sums vectors of the backend's memory */
    struct shard *deal;     /* which rank writes which elements of a checkpoint */
    struct saving *saving;  /* the checkpoint in the making; NULL before the first */
    struct optimizer *optimizer;
    struct optimizer *discriminator_optimizer; /* NULL: it makes no step of its own */
    struct gradient *gradient;
    struct rule_memory kept; /* by the rule */
    float *generator; /* the gradient of the game's one loss, beside the other; shard, or NULL */
    struct tile_buffers buffers;

    struct run_counters counters;
    struct best best;
    int64_t stop_after;       /* ends behind this step as if it had been asked to; 0: never */
    int64_t skipped_in_a_row; /* optimizer steps without a finite gradient, up to now */
    int64_t discriminator_skipped_in_a_row; /* of its own */
    struct flat flat;
    struct tau tau;
    double baseline;        /* after the last step; of objective.advantage = ema */
    struct shutoff shutoff; /* of the rule */
    struct diagnosis diagnosis;
    struct run_evaluation evaluation;
    struct mauve_watch mauve;
    bool told_of_noise; /* that the probe changes hardly a weight */
    struct wall_time wall;
    struct step step;

    struct run_files files;
};

/* Opens the run on all ranks; on failure nothing is left open. */
enum status run_open(struct run *run, const struct settings *settings, struct comm *comm) MUST_USE;
void run_close(struct run *run);

/* Opens it on a planned backend, without its models: everything that can be refused is, in the same
 * words, but for what is absent. Not collective; comm says which rank of how many is planned. */
enum status run_plan(struct run *run, const struct settings *settings, struct comm *comm,
                     int threads, const struct absent *absent) MUST_USE;

/* The tensors of a set as the layout of its flat vector; matrices are computed with in `matrices`, but
 * for those of a discriminator. The caller destroys it. */
enum status run_layout_create(struct vector_layout **layout, struct backend *backend,
                              const struct parameter_set *set, enum dtype matrices) MUST_USE;

/* What run_open makes last: models, optimizer, gradient. Collective. In a planned run memory is booked
 * and the tensors of the weights are looked for, but not read. */
enum status run_reserve(struct run *run) MUST_USE;
void run_unreserve(struct run *run);

/* Empties the step's batch and makes room for the next one. */
enum status run_clear_batch(struct run *run) MUST_USE;

/* Takes from a device, before the first step, what any step may need of it but the pages of keys and
 * values, as the plan finds it: later there may be none, and to take it waits for the device. */
enum status run_rehearse(struct run *run) MUST_USE;

/* For plans: this rank's tiles of all mini-batches, on step.rollout, as the first passes compute
 * them; no other rank is asked. */
enum status run_rehearse_gradient(struct run *run) MUST_USE;

/* Parameters, optimizer state and refreshed weights as this step's rule leaves them; fills
 * run->step.passes. Collective. */
enum status run_update(struct run *run) MUST_USE;

/* The step's metrics from what all ranks know; collective. */
enum status run_measure(struct run *run, struct metrics *metrics) MUST_USE;

/* Takes run.directory for this run, which begins where `restart` says: what later steps have left
 * there goes, settings.cfg is written, the log opened, diagnostics.h5 made. Rank 0 acts, all agree;
 * run_output_close gives it back, also after a failure. */
enum status run_output_open(struct run *run, const struct restart *restart) MUST_USE;
void run_output_close(struct run *run);

/* Says now and then in status.json, from places that a run passes, that it lives. */
void run_output_beat(struct run *run);

/* The run's diagnostics.h5, at `path`, which is borrowed. */
struct diagnostics run_diagnostics(const struct run *run, const char *path);

/* The step's rollouts, diagnostics, metrics line, status.json; an evaluation and a checkpoint where one is
 * due. `last`: no step follows. Collective. */
enum status run_output_step(struct run *run, const struct metrics *metrics, bool last) MUST_USE;

/* A checkpoint after the last finished step, unless it is there. Collective. */
enum status run_output_stop(struct run *run) MUST_USE;

/* run.directory/model and the final status.json. Collective. */
enum status run_output_finish(struct run *run) MUST_USE;

/* Says in status.json that the run failed, and why; the sentence stays. Rank 0 does, or the one that
 * leaves alone. */
void run_output_fail(struct run *run, enum status status);

/* Runs until the last step or until asked to stop: STATUS_STOPPED then. */
enum status run_train(struct run *run) MUST_USE;

#endif
