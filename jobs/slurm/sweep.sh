#!/bin/bash
# sweep.sh INPUT.cfg TABLE [group.name=value ...]: many runs of one input file, a job of an array each. Line i + 1 of
# TABLE is what run i changes, "objective.gate=erf run.seed=3"; # begins a comment line. Run i goes to the folder
# run-i of the input file's run.directory. Give submit.sh the range: --array 0-7%4 runs eight of them, four at a time.
#
# Needs: for each run what jobs/slurm/train_node.sh needs, and disk for all of them.
# Costs: a training run for each line of TABLE.
#
# Submit: jobs/submit.sh --array 0-7 jobs/slurm/sweep.sh INPUT.cfg TABLE ... adds what jobs/site.sh says; without it
#         the lines below hold.
#
#GRADUS size=node
#SBATCH --job-name=sweep --time=08:00:00
#SBATCH --nodes=1 --ntasks-per-node=4 --cpus-per-task=4
#SBATCH --output=%x-%A_%a.log --open-mode=append
#SBATCH --requeue --signal=B:USR1@120
# The run itself looks at the end of the job; the signal is a second word.
export GRADUS_ROOT=${GRADUS_ROOT:-$SLURM_SUBMIT_DIR}
. "$GRADUS_ROOT/jobs/job.sh" slurm

job_begin node "$@"
table=${2:?"$0 takes INPUT.cfg and TABLE"}
index=${SLURM_ARRAY_TASK_ID:-${PBS_ARRAY_INDEX:-${PBS_ARRAYID:?"submit it as an array: jobs/submit.sh --array 0-7"}}}
read -r -a changes <<<"$(grep -v '^ *\(#\|$\)' "$table" | sed -n "$((index + 1))p")"
[ "${#changes[@]}" -gt 0 ] || { job_say "$table has no run $index" && exit 2; }
input=$1
shift 2
directory=$("$program" params run.directory --input "$input" "$@")
job_train "$input" "$@" "${changes[@]}" "run.directory=$directory/run-$index"
