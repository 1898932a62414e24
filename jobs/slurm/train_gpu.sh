#!/bin/bash
# train_gpu.sh INPUT.cfg [group.name=value ...]: a training run on one GPU, or on one rank of a CPU node.
#
# Needs: one GPU of 80 GB or less, 8 GB of memory, twice a checkpoint of disk and once more while one is written.
#        SmolLM2-135M on GSM8K (input/sapo_gsm8k.cfg): 4.4 GiB of the GPU, 1.5 GiB a checkpoint.
# Costs: 1 GPU for as long as the run takes: about 1 s a step there by `gradus plan --ranks 1 --device h100-80`, an
#        estimate.
#
# Submit: jobs/submit.sh jobs/slurm/train_gpu.sh INPUT.cfg ... adds what jobs/site.sh says; without it the lines below
#         hold.
#
#GRADUS size=gpu
#SBATCH --job-name=train-gpu --time=08:00:00
#SBATCH --nodes=1 --ntasks-per-node=1 --cpus-per-task=4
#SBATCH --output=%x-%j.log --open-mode=append
#SBATCH --requeue --signal=B:USR1@120
# The run itself looks at the end of the job; the signal is a second word.
export GRADUS_ROOT=${GRADUS_ROOT:-$SLURM_SUBMIT_DIR}
. "$GRADUS_ROOT/jobs/job.sh" slurm
[ $# -gt 0 ] || set -- input/sapo_gsm8k.cfg

job_begin gpu "$@"
job_train "$@"
