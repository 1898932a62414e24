#!/bin/bash
# train_gpu.sh INPUT.cfg [group.name=value ...]: a training run on one GPU, or on one rank of a CPU node.
#
# Needs: one GPU of 80 GB or less, 8 GB of memory, twice a checkpoint of disk and once more while one is written.
#        SmolLM2-135M on GSM8K (input/sapo_gsm8k.cfg): 4.4 GiB of the GPU, 1.5 GiB a checkpoint.
# Costs: 1 GPU for as long as the run takes: about 1 s a step there by `gradus plan --ranks 1 --device h100-80`, an
#        estimate.
#
# Submit: jobs/submit.sh jobs/pbs/train_gpu.sh INPUT.cfg ... adds what jobs/site.sh says; without it the lines below
#         hold.
#
#GRADUS size=gpu
#PBS -N train-gpu
#PBS -l select=1:ncpus=4:mpiprocs=1
#PBS -l walltime=08:00:00
#PBS -j oe
#PBS -r y
cd "${PBS_O_WORKDIR:-$PWD}"
export GRADUS_ROOT=${GRADUS_ROOT:-$PWD}
. "$GRADUS_ROOT/jobs/job.sh" pbs
GRADUS_ARGUMENTS=${GRADUS_ARGUMENTS:-}
[ $# -gt 0 ] || read -r -a arguments <<<"${GRADUS_ARGUMENTS//::/ }"
set -- "$@" ${arguments[@]+"${arguments[@]}"}
[ $# -gt 0 ] || set -- input/sapo_gsm8k.cfg

job_begin gpu "$@"
job_train "$@"
