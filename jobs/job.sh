# shellcheck shell=bash
# job.sh: what every job of jobs/slurm and jobs/pbs does; sourced by them, edited by nobody. The cluster is jobs/site.sh's, the run
# is the template's, which sources this as . job.sh slurm or . job.sh pbs.
#
#   job_begin SIZE ARGUMENT...       the first lines of the job; ARGUMENTs are all that the template was given
#   job_train INPUT.cfg [group.name=value ...]     a run, continued by the next job until it is finished
#   job_evaluate INPUT.cfg [--checkpoint FILE] [group.name=value ...]       benchmarks
#   job_evaluate INPUT.cfg IN.jsonl OUT.jsonl [group.name=value ...]        answers to a file of prompts
#   job_stage INPUT.cfg [group.name=value ...]     its model on each node's own disk; $staged says where to job_train
#
#   GRADUS_ATTEMPTS       so many jobs at most work on a run [100]
#   GRADUS_PROGRAM        the program [build/gradus]
#   GRADUS_ROOT           the folder of the project
set -euo pipefail
batch=$1
# shellcheck source=jobs/site.sh
. "${GRADUS_SITE:-$GRADUS_ROOT/jobs/site.sh}"
program=${GRADUS_PROGRAM:-$GRADUS_ROOT/build/gradus}
staged=()

job_say() {
    echo "job: $*"
}

# --- the first lines ---

# Seconds since 1970 at which the job is over, from the batch system where it does not tell its jobs; nothing where nobody knows.
job_end_time() {
    local text left
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        text=$(squeue --noheader --jobs="$job_id" --format=%e 2>/dev/null | head -n 1) || return 0
        date -d "$text" +%s 2>/dev/null || true
    elif [ -n "${PBS_JOBID:-}" ]; then
        text=$(qstat -f "$PBS_JOBID" 2>/dev/null | sed -n 's/.*Resource_List.walltime = //p') || return 0
        left=$(echo "$text" | awk -F: 'NF == 3 { print $1 * 3600 + $2 * 60 + $3 }')
        [ -z "$left" ] || echo $((started + left))
    fi
}

# Nodes and ranks of this job: those of SLURM, or the lines of PBS's list of nodes.
job_count() {
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        nodes=$SLURM_JOB_NUM_NODES
        per_node=${GRADUS_SUBMIT_RANKS:-${SLURM_NTASKS_PER_NODE:-$site_ranks_per_node}}
        cores=${SLURM_CPUS_PER_TASK:-1}
    else
        nodes=$(sort -u "${PBS_NODEFILE:-/dev/null}" | wc -l)
        [ "$nodes" -gt 0 ] || nodes=1
        per_node=${GRADUS_SUBMIT_RANKS:-$site_ranks_per_node}
        cores=$site_cores_per_rank
    fi
    [ "$1" != gpu ] || per_node=1
    ranks=$((nodes * per_node))
    launch=("$program")
    if [ "$site_gpus_per_node" -gt 0 ]; then
        export GRADUS_GPUS=$site_gpus_per_node GRADUS_GPU_ORDER=$site_gpu_order
        [ -z "$site_interface" ] || export NCCL_SOCKET_IFNAME=$site_interface
        launch=(bash "$GRADUS_ROOT/jobs/gpu.sh" "$program")
    fi
}

job_begin() {
    started=$(date +%s)
    local size=$1
    shift
    arguments=("$@")
    job_id=${SLURM_JOB_ID:-${PBS_JOBID:-none}}
    [ -z "${SLURM_ARRAY_TASK_ID:-}" ] || job_id=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    attempt=$((${GRADUS_ATTEMPT:-1} + ${SLURM_RESTART_COUNT:-0}))
    ulimit -c 0
    set +eu # modules are not written for it
    site_setup
    set -eu
    [ -x "$program" ] || { job_say "$program is not there: build it first (INSTALL, section 5)" && exit 2; }
    job_count "$size"
    export OMP_NUM_THREADS=$cores OMP_PROC_BIND=close SRUN_CPUS_PER_TASK=$cores
    batch_end=$(job_end_time)
    export GRADUS_JOB_END_TIME=${SLURM_JOB_END_TIME:-$batch_end}
    [ -n "$GRADUS_JOB_END_TIME" ] || unset GRADUS_JOB_END_TIME
    job_say "$job_id, attempt $attempt, $(date -u +%Y-%m-%dT%H:%M:%SZ), on $site_name: $nodes nodes, $ranks ranks, $cores cores each"
    job_say "hosts ${SLURM_JOB_NODELIST:-$(sort -u "${PBS_NODEFILE:-/dev/null}" | xargs)}${GRADUS_JOB_END_TIME:+, ends $(date -u -d "@$GRADUS_JOB_END_TIME" +%H:%M:%SZ)}"
    job_say "$("$program" --version | head -n 1)"
}

# --- ranks, and what is asked of them ---

# Whether the time of this job is over, as the batch system knew it at the start: what the job was told may be wrong, and of a job
# that is cancelled SLURM says that it ends now.
job_is_over() {
    [ -n "$batch_end" ] && [ "$(date +%s)" -ge $((batch_end - 5)) ]
}

# Signals to the batch script go on to the launcher, which srun, mpirun and mpiexec hand to the ranks. TERM before the time of the
# job is over means that somebody cancelled it: it is not started again.
cancelled=no interrupted=no launcher=''
job_pass_on() {
    interrupted=yes
    [ -z "$launcher" ] || kill -USR1 "$launcher" 2>/dev/null || true
    [ "$1" != TERM ] || job_is_over || cancelled=yes
}

# job_launch ARGUMENT...: the program on all ranks; $status is what the launcher says of them.
job_launch() {
    local before=127
    trap 'job_pass_on USR1' USR1
    trap 'job_pass_on TERM' TERM
    site_launch "$ranks" "$per_node" "$cores" "${launch[@]}" "$@" &
    launcher=$!
    while :; do
        interrupted=no
        status=0
        wait "$launcher" || status=$?
        [ $status != 127 ] || status=$before # it had been waited for
        [ $interrupted = yes ] || break
        before=$status
    done
    launcher=''
}

# --- how a run stands ---

# job_field NAME: of $state, the text of status.json.
job_field() {
    printf '%s\n' "$state" | sed -n "s/.*[{ ]\"$1\": \"\{0,1\}\([^\",}]*\).*/\1/p"
}

job_read_state() {
    state=$(cat "$directory/status.json" 2>/dev/null) || state=''
}

# The exit status of the run, whatever the launcher made of it: launchers lose or merge it, what was killed cannot say it, and some
# end with 0 when no rank ever began. Only status.json says that a run is finished; 75 is a run that is not, and could go on.
job_exit_status() {
    local before=$1
    job_read_state
    if [ "$state" = "$before" ]; then
        [ "$status" = 0 ] || return 0
        job_say "$directory/status.json is as before: the launcher ended with 0, but no rank has begun"
        status=75
        return 0
    fi
    case $(job_field state) in
    running) status=75 ;;
    *) status=$(job_field exit) ;;
    esac
}

# The next job of this run, with the same arguments. A job of SLURM starts itself again where that is allowed.
job_again() {
    if [ "${GRADUS_CHAIN:-1}" != 1 ]; then
        job_say "the next job of the chain goes on"
    elif [ "$attempt" -ge "${GRADUS_ATTEMPTS:-100}" ]; then
        job_say "this was attempt $attempt, the last: GRADUS_ATTEMPTS; submit it again to go on"
    elif [ "$batch" = slurm ] && scontrol requeue "$job_id"; then
        job_say "requeued"
    elif [ -n "${GRADUS_TEMPLATE:-}" ]; then
        local more=()
        [ -z "${GRADUS_SUBMIT_NODES:-}" ] || more+=(--nodes "$GRADUS_SUBMIT_NODES")
        [ -z "${GRADUS_SUBMIT_RANKS:-}" ] || more+=(--ranks "$GRADUS_SUBMIT_RANKS")
        [ -z "${GRADUS_SUBMIT_TIME:-}" ] || more+=(--time "$GRADUS_SUBMIT_TIME")
        [ -z "${index:-}" ] || more+=(--array "$index")
        GRADUS_ATTEMPT=$((attempt + 1)) bash "$GRADUS_ROOT/jobs/submit.sh" ${more[@]+"${more[@]}"} "$GRADUS_TEMPLATE" ${arguments[@]+"${arguments[@]}"}
    else
        job_say "submit it again: it was not submitted by jobs/submit.sh, which could do so"
    fi
}

job_train() {
    local steps before step
    directory=$("$program" params run.directory --input "$@")
    steps=$("$program" params run.steps --input "$@")
    job_read_state
    if [ "$(job_field state)" = finished ] && [ "$(job_field step)" -ge "$steps" ]; then
        job_say "$directory is finished: nothing is left to do"
        exit 0
    fi
    before=$state
    step=$(job_field checkpoint_step)
    job_say "gradus train $*"
    job_launch train "$@" ${staged[@]+"${staged[@]}"}
    job_exit_status "$before"
    local now
    now=$(job_field checkpoint_step)
    job_say "exit status $status, checkpoint of step ${now:-0}, of step ${step:-0} before, of $steps in all"
    case $status in
    0) job_say "finished: $directory" ;;
    75 | 85)
        if [ $cancelled = yes ]; then
            job_say "it was cancelled: submit it again to go on"
        elif [ "${now:-0}" -gt "${step:-0}" ]; then
            job_again
        else
            job_say "it made no checkpoint further than the one before, so it is not started again: look at $directory/log.txt"
        fi
        ;;
    *) job_say "not started again: look at $directory/status.json" ;;
    esac
    exit "$status"
}

job_generate() {
    local input=$1 in=$2 out=$3
    shift 3
    job_say "gradus generate $input --input $in --output $out $*"
    job_launch generate "$input" --input "$in" --output "$out" "$@" ${staged[@]+"${staged[@]}"}
    job_say "exit status $status"
    exit "$status"
}

# What an evaluation has drawn stays on disk: the same job goes on with it. Only the launcher tells how it ended.
job_benchmark() {
    job_say "gradus eval $*"
    job_launch eval "$@" ${staged[@]+"${staged[@]}"}
    job_say "exit status $status"
    [ "$status" = 0 ] || job_say "submit it again to go on after what it has drawn, unless the sentence above asks for something else"
    exit "$status"
}

job_evaluate() {
    case ${2:-} in
    '' | -* | *=*) job_benchmark "$@" ;;
    *) job_generate "$@" ;;
    esac
}

# The model is read by each rank of each node at once; from a disk of the node it comes faster than from a busy file system. What
# is copied is removed when the job ends.
job_stage() {
    local model copy
    [ -n "$site_local" ] || return 0
    model=$("$program" params model.path --input "$@")
    copy=$site_local/gradus-${job_id//[^0-9A-Za-z_.-]/_}
    # shellcheck disable=SC2016 # it is the other shell's
    (site_launch "$nodes" 1 1 sh -c 'mkdir -p "$1" && cp -r "$2/." "$1"' stage "$copy" "$model") || {
        job_say "$model could not be copied to $copy: it is read where it is"
        return 0
    }
    # shellcheck disable=SC2064
    trap "(site_launch $nodes 1 1 rm -rf '$copy') || true" EXIT
    staged=("model.path=$copy")
    job_say "$model was copied to $copy on each node"
}
