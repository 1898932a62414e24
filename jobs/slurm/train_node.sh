#!/bin/bash
# train_node.sh INPUT.cfg [group.name=value ...]: a training run on one node: a rank for each GPU, or for some cores
# of a CPU node.
#
# Needs: a node of 4 GPUs. Qwen2.5-1.5B, all weights, on 4 A100: 38.6 GiB of each, 17.3 GiB a checkpoint, of which
#        there are up to three at a time.
# Costs: 4 GPU hours an hour; about 8 s a step there by `gradus plan --ranks 4 --device a100-80`, an estimate.
#
# Submit: jobs/submit.sh jobs/slurm/train_node.sh INPUT.cfg ... adds what jobs/site.sh says; without it the lines
#         below hold.
#
#GRADUS size=node
#SBATCH --job-name=train-node --time=08:00:00
#SBATCH --nodes=1 --ntasks-per-node=4 --cpus-per-task=4
#SBATCH --output=%x-%j.log --open-mode=append
#SBATCH --requeue --signal=B:USR1@120
# The run itself looks at the end of the job; the signal is a second word.
export GRADUS_ROOT=${GRADUS_ROOT:-$SLURM_SUBMIT_DIR}
. "$GRADUS_ROOT/jobs/job.sh" slurm
[ $# -gt 0 ] || set -- input/grpo_gsm8k.cfg

job_begin node "$@"
job_train "$@"
