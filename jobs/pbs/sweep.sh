#!/bin/bash
# sweep.sh INPUT.cfg TABLE [group.name=value ...]: many runs of one input file, a job of an array each. Line i + 1 of
# TABLE is what run i changes, "objective.gate=erf run.seed=3"; # begins a comment line. Run i goes to the folder
# run-i of the input file's run.directory. Give submit.sh the range: --array 0-7%4 runs eight of them, four at a time.
#
# Needs: for each run what jobs/pbs/train_node.sh needs, and disk for all of them.
# Costs: a training run for each line of TABLE.
#
# Submit: jobs/submit.sh --array 0-7 jobs/pbs/sweep.sh INPUT.cfg TABLE ... adds what jobs/site.sh says; without it the
#         lines below hold.
#
#GRADUS size=node
#PBS -N sweep
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

job_begin node "$@"
table=${2:?"$0 takes INPUT.cfg and TABLE"}
index=${SLURM_ARRAY_TASK_ID:-${PBS_ARRAY_INDEX:-${PBS_ARRAYID:?"submit it as an array: jobs/submit.sh --array 0-7"}}}
read -r -a changes <<<"$(grep -v '^ *\(#\|$\)' "$table" | sed -n "$((index + 1))p")"
[ "${#changes[@]}" -gt 0 ] || { job_say "$table has no run $index" && exit 2; }
input=$1
shift 2
directory=$("$program" params run.directory --input "$input" "$@")
job_train "$input" "$@" "${changes[@]}" "run.directory=$directory/run-$index"
