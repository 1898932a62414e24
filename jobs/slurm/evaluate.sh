#!/bin/bash
# evaluate.sh INPUT.cfg [--checkpoint FILE] [group.name=value ...]: benchmarks of a model, those of eval.sets (`gradus
# eval`), into eval.h5 of run.directory; the same job again goes on after what was drawn.
# evaluate.sh INPUT.cfg PROMPTS.jsonl ANSWERS.jsonl [group.name=value ...]: answers of a model to a file of prompts,
# with rewards where a line has a reference (`gradus generate`). The model of a run is model.path=RUN/model;
# rollout.temperature=0 takes the most probable answers, rollout.group_size is their number.
#
# Needs: what drawing the answers of a training step needs, and no optimizer state.
# Costs: the answer tokens of all prompts by the rate that the log of a training run tells as rollout/tokens_per_s.
#
# Submit: jobs/submit.sh jobs/slurm/evaluate.sh INPUT.cfg PROMPTS.jsonl ANSWERS.jsonl ... adds what jobs/site.sh says;
#         without it the lines below hold.
#
#GRADUS size=node
#SBATCH --job-name=evaluate --time=02:00:00
#SBATCH --nodes=1 --ntasks-per-node=4 --cpus-per-task=4
#SBATCH --output=%x-%j.log --open-mode=append
export GRADUS_ROOT=${GRADUS_ROOT:-$SLURM_SUBMIT_DIR}
. "$GRADUS_ROOT/jobs/job.sh" slurm

job_begin node "$@"
job_evaluate "$@"
