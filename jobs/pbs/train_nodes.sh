#!/bin/bash
# train_nodes.sh INPUT.cfg [group.name=value ...]: a training run on several nodes (jobs/submit.sh --nodes N). No
# number depends on how many.
#
# Needs: 4 nodes of 4 GPUs, a file system that all of them see. Qwen2.5-7B with adapters of rank 64
#        (input/paper_gates.cfg) on 16 H100: 24.4 GiB of each. At most as many ranks as a step has tiles: `gradus
#        plan` tells the usable numbers.
# Costs: 16 GPU hours an hour; about 5 s a step there by `gradus plan --ranks 16 --device h100-80`, an estimate.
#
# Submit: jobs/submit.sh jobs/pbs/train_nodes.sh INPUT.cfg ... adds what jobs/site.sh says; without it the lines below
#         hold.
#
#GRADUS size=nodes
#PBS -N train-nodes
#PBS -l select=4:ncpus=16:mpiprocs=4
#PBS -l walltime=12:00:00
#PBS -j oe
#PBS -r y
cd "${PBS_O_WORKDIR:-$PWD}"
export GRADUS_ROOT=${GRADUS_ROOT:-$PWD}
. "$GRADUS_ROOT/jobs/job.sh" pbs
GRADUS_ARGUMENTS=${GRADUS_ARGUMENTS:-}
[ $# -gt 0 ] || read -r -a arguments <<<"${GRADUS_ARGUMENTS//::/ }"
set -- "$@" ${arguments[@]+"${arguments[@]}"}
[ $# -gt 0 ] || set -- input/paper_gates.cfg

job_begin nodes "$@"
job_stage "$@"
job_train "$@"
