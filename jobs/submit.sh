#!/bin/bash
# submit.sh [OPTION...] TEMPLATE [ARGUMENT...]: submits jobs/slurm/NAME.sh or jobs/pbs/NAME.sh with what jobs/site.sh says of this
# cluster. ARGUMENTs go to the job; paths among them are relative to the working directory, which is the job's too.
#
#   --nodes N      of a job of many nodes
#   --ranks N      of a node, in place of site_ranks_per_node
#   --time H:M:S   in place of the template's
#   --array RANGE  of a sweep: 0-9, or 0-9%4 for four at a time
#   --chain N      N jobs, each after the one before: for sites where a job may not start itself again
#   --scratch      run.directory in site_scratch, under the name of the input file
#   --dry-run      print the command and submit nothing
#
# GRADUS_SITE names another site file.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export GRADUS_ROOT=$root
# shellcheck source=jobs/site.sh
. "${GRADUS_SITE:-$root/jobs/site.sh}"

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d' >&2
    exit 1
}
fail() {
    echo "submit.sh: $*" >&2
    exit 2
}

nodes='' ranks=$site_ranks_per_node time='' array='' chain=1 scratch=no say=no
while [ $# -gt 0 ]; do
    case $1 in
    --nodes | --ranks | --time | --array | --chain)
        [ $# -ge 2 ] || usage
        declare "${1#--}=$2"
        shift 2
        ;;
    --scratch) scratch=yes && shift ;;
    --dry-run) say=yes && shift ;;
    -*) usage ;;
    *) break ;;
    esac
done
[ $# -ge 1 ] || usage
template=$1
shift
[ -r "$template" ] || fail "$template: there is no such file"
system=$(basename "$(cd "$(dirname "$template")" && pwd)")
size=$(sed -n 's/^#GRADUS size=//p' "$template")
case $site_account in myproject | m0000_g) fail "write your account into jobs/site.sh: site_account" ;; esac
gpus=$site_gpus_per_node
case $size in
gpu) nodes=1 ranks=1 gpus=$((gpus > 1 ? 1 : gpus)) ;;
node) nodes=1 ;;
nodes) ;;
*) fail "$template: it has no line #GRADUS size=gpu, node or nodes" ;;
esac
if [ $scratch = yes ]; then
    [ -n "$site_scratch" ] || fail "--scratch: jobs/site.sh names no site_scratch"
    set -- "$@" "run.directory=$site_scratch/$(basename "${1:?--scratch needs an input file}" .cfg)"
fi
export GRADUS_TEMPLATE=$template GRADUS_SUBMIT_NODES=$nodes GRADUS_SUBMIT_RANKS=$ranks GRADUS_SUBMIT_TIME=$time
export GRADUS_CHAIN=$chain

slurm_command() {
    command=(sbatch)
    [ -z "$site_account" ] || command+=("--account=$site_account")
    # shellcheck disable=SC2206
    command+=($site_options)
    [ -z "$nodes" ] || command+=("--nodes=$nodes")
    command+=("--ntasks-per-node=$ranks" "--cpus-per-task=$site_cores_per_rank")
    # shellcheck disable=SC2206
    [ "$gpus" = 0 ] || command+=(${site_gpu_options//%d/$gpus})
    [ -z "$time" ] || command+=("--time=$time")
    [ -z "$array" ] || command+=("--array=$array")
    [ "$chain" = 1 ] || command+=("--dependency=singleton")
    command+=("$template" "$@")
}

# PBS gives a script no arguments: they travel in a variable, joined by ::, which commas, quotes and blanks would break.
pbs_command() {
    local select="select=${nodes:-$(sed -n 's/^#PBS -l select=\([0-9]*\).*/\1/p' "$template")}"
    select+=":ncpus=$((ranks * site_cores_per_rank)):mpiprocs=$ranks"
    [ "$gpus" = 0 ] || select+=":ngpus=$gpus"
    case "$*" in *[,\'\"\\]*) fail "qsub passes no commas, quotes or backslashes: write that setting into the input file" ;; esac
    for argument in "$@"; do
        case $argument in *\ *) fail "qsub passes no blanks: write that setting into the input file" ;; esac
    done
    command=(qsub)
    [ -z "$site_account" ] || command+=(-A "$site_account")
    # shellcheck disable=SC2206
    command+=($site_options -l "$select")
    [ -z "$time" ] || command+=(-l "walltime=$time")
    [ -z "$array" ] || command+=(-J "$array")
    [ "$chain" = 1 ] || [ -z "$previous" ] || command+=(-W "depend=afterany:$previous")
    local joined
    joined=$(printf '::%s' "$@")
    local variables="GRADUS_ROOT=$root,GRADUS_TEMPLATE=$template,GRADUS_SUBMIT_NODES=$nodes,GRADUS_SUBMIT_RANKS=$ranks"
    variables+=",GRADUS_SUBMIT_TIME=$time,GRADUS_CHAIN=$chain,GRADUS_ATTEMPT=${GRADUS_ATTEMPT:-1}"
    for name in GRADUS_SITE GRADUS_PROGRAM GRADUS_ATTEMPTS; do
        [ -z "${!name:-}" ] || variables+=",$name=${!name}"
    done
    command+=(-v "$variables,GRADUS_ARGUMENTS=${joined#::}" "$template")
}

previous=''
for ((i = 0; i < chain; i++)); do
    case $system in
    slurm) slurm_command "$@" ;;
    pbs) pbs_command "$@" ;;
    *) fail "$template: templates are in jobs/slurm and jobs/pbs" ;;
    esac
    printf '%q ' "${command[@]}" && echo
    [ $say = no ] || continue
    said=$("${command[@]}")
    echo "$said"
    previous=${said##* }
done
