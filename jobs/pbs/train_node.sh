#!/bin/bash
# train_node.sh INPUT.cfg [group.name=value ...]: a training run on one node: a rank for each GPU, or for some cores
# of a CPU node.
#
# Needs: a node of 4 GPUs. Qwen2.5-1.5B, all weights, on 4 A100: 38.6 GiB of each, 17.3 GiB a checkpoint, of which
#        there are up to three at a time.
# Costs: 4 GPU hours an hour; about 8 s a step there by `gradus plan --ranks 4 --device a100-80`, an estimate.
#
# Submit: jobs/submit.sh jobs/pbs/train_node.sh INPUT.cfg ... adds what jobs/site.sh says; without it the lines below
#         hold.
#
#GRADUS size=node
#PBS -N train-node
#PBS -l select=1:ncpus=16:mpiprocs=4
#PBS -l walltime=08:00:00
#PBS -j oe
#PBS -r y
cd "${PBS_O_WORKDIR:-$PWD}"
export GRADUS_ROOT=${GRADUS_ROOT:-$PWD}
. "$GRADUS_ROOT/jobs/job.sh" pbs
GRADUS_ARGUMENTS=${GRADUS_ARGUMENTS:-}
[ $# -gt 0 ] || read -r -a arguments <<<"${GRADUS_ARGUMENTS//::/ }"
set -- "$@" ${arguments[@]+"${arguments[@]}"}
[ $# -gt 0 ] || set -- input/grpo_gsm8k.cfg

job_begin node "$@"
job_train "$@"
