#!/bin/sh
# slurm.sh: jobs/slurm on a SLURM that this test starts on the loopback address: a job that finishes; one that is asked to stop, starts
# itself again and ends with the bits of an undisturbed run; one that stops before its time limit, goes on in a second attempt and is
# cancelled there; two that do not know their limit: SLURM ends one by TERM, which starts itself again, and one that does not obey by
# KILL, which is requeued by hand; both with the bits of an undisturbed run; an array; one whose input is wrong.
. "$(dirname "$0")/lib.sh"
. "$root/tests/jobs/cluster.sh"
! cluster_missing || exit 77
trap cluster_down EXIT
cluster_up "$work.tmp/slurm" 8 || {
    fail "SLURM does not start"
    cluster_down
    finish
}

# submit OPTION... TEMPLATE ARGUMENT...: $id is the job's.
submit() {
    bash "$root/jobs/submit.sh" "$@" >submitted 2>&1 || fail "jobs/submit.sh $*: $(cat submitted)"
    id=$(sed -n 's/^Submitted batch job //p' submitted)
}

# over ID: it is no longer in the queue.
over() {
    [ -z "$(squeue -h -j "$1" 2>/dev/null)" ]
}

log_of() {
    cat -- *-"$1".log 2>/dev/null
}

# ended ID SECONDS STATE: how SLURM saw its end.
ended() {
    until_true "$2" over "$1" || fail "job $1 is not over after $2 s: $(scontrol show job "$1" | grep -E 'JobState|Reason')"
    state=$(scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p')
    [ "$state" = "$3" ] || fail "job $1 ended as $state, expected $3: $(log_of "$1" | tail -n 20)"
}

says() {
    log_of "$1" | grep -q "$2" || fail "the log of job $1 does not say '$2': $(log_of "$1" | grep -v 'step =' | tail -n 30)"
}

input=$SYSTEM_WORK/input.cfg
longer="run.steps=12 rollout.group_size=100 checkpoint.keep=9"

# Two jobs of a minute that are told of an hour, and get no signal before: the rollout of step 5 takes minutes on one rank, so that
# TERM finds the run at work; the write of the checkpoint of step 4 never comes back, and TERM finds nobody. In their second attempt
# all is well.
limits=no
if [ -n "${SYSTEM_KILL:-}" ] && [ -f "$SYSTEM_KILL" ]; then
    limits=yes
    for kind in late deaf; do
        case $kind in
        late) how="KILL_EVENT=rollout KILL_STEP=5 KILL_AT=1 KILL_LAST=1000000000 KILL_ACTION=slow KILL_MS=200" ;;
        deaf) how="KILL_EVENT=piece KILL_PATH=/checkpoints/step-000004 KILL_AT=1 KILL_ACTION=hang" ;;
        esac
        cat >"$work/$kind.sh" <<END
. "$work/site.sh"
site_options="--signal=B:CONT@1"
site_setup() {
    export SLURM_JOB_END_TIME=\$((\$(date +%s) + 3600))
}
site_launch() {
    local ranks=\$1
    shift 3
    [ "\${SLURM_RESTART_COUNT:-0}" != 0 ] || set -- env LD_PRELOAD="$SYSTEM_KILL" KILL_RANK=1 $how "\$@"
    exec srun --mpi=pmix --ntasks="\$ranks" "\$@"
}
END
        # shellcheck disable=SC2086
        GRADUS_SITE=$work/$kind.sh submit --time 00:01:00 "$root/jobs/slurm/train_node.sh" "$input" run.directory="$work/$kind" $longer \
            checkpoint.every=1
        eval "$kind=$id"
    done
fi

# A job that finishes, and one whose input is wrong, at the same time.
submit "$root/jobs/slurm/train_node.sh" "$input" run.directory="$work/first"
first=$id
submit "$root/jobs/slurm/train_gpu.sh" "$input" run.directory="$work/wrong" rollout.group_size=many
wrong=$id
ended "$first" 60 COMPLETED
says "$first" "^job: $first, attempt 1, .*Z, on the test's cluster: 1 nodes, 2 ranks, 1 cores each"
says "$first" "^job: hosts $(hostname -s), ends .*Z"
says "$first" "place: rank = 1 of 2, host = $(hostname), .* launcher = srun (step $first.0)"
says "$first" "^job: finished: $work/first"
[ "$(field first state)" = finished ] || fail "first: status.json says $(cat first/status.json)"
ended "$wrong" 30 FAILED
scontrol show job "$wrong" | grep -q "ExitCode=2:0" || fail "wrong: $(scontrol show job "$wrong" | grep ExitCode)"
says "$wrong" "group_size"
submit "$root/jobs/slurm/train_node.sh" "$input" run.directory="$work/first"
ended "$id" 30 COMPLETED
says "$id" "is finished: nothing is left to do"

# Asked to stop after some steps, it starts itself again and ends as if nothing had been.
# shellcheck disable=SC2086
submit "$root/jobs/slurm/train_node.sh" "$input" run.directory="$work/asked" $longer
asked=$id
until_true 60 steps_done asked 2 || fail "asked: it does not begin: $(log_of "$asked" | tail -n 5)"
scancel --signal=USR1 --batch "$asked"
# Its time limit comes: 9 s after its start the time that is left belongs to the job script.
submit --time 00:05:00 "$root/jobs/slurm/train_node.sh" "$input" run.directory="$work/limit" run.steps=5000 \
    run.wall_margin_s=291 checkpoint.every=1
limit=$id
ended "$asked" 90 COMPLETED
says "$asked" "stopping after step .*, asked by SIGUSR1"
says "$asked" "^job: exit status 85, checkpoint of step .*, of step 0 before, of 12 in all"
says "$asked" "^job: $asked, attempt 2, "
says "$asked" "^job: finished: $work/asked"
# shellcheck disable=SC2086
train 2 reference $longer
same_numbers asked reference
same_rollouts asked reference
same asked/checkpoints/step-000012.h5 reference/checkpoints/step-000012.h5 /provenance /settings /manifest

again() {
    log_of "$limit" | grep -q "^job: $limit, attempt 2, "
}
until_true 60 again || fail "limit: it is not started again: $(log_of "$limit" | grep -v 'step =' | tail -n 20)"
says "$limit" "asked by the end of the job, left_s = "
says "$limit" "^job: exit status 85"
stood=$(field limit checkpoint_step)
until_true 30 steps_done limit $((stood + 1)) || fail "limit: the second attempt does not go on from step $stood: $(log_of "$limit" | tail -n 5)"
running() {
    [ "$(squeue -h -j "$limit" -o %T)" = RUNNING ]
}
until_true 30 running || fail "limit: it does not run again"
scancel "$limit"
attempts=$(log_of "$limit" | grep -c "^job: .*, attempt ")
ended "$limit" 30 CANCELLED
[ "$(log_of "$limit" | grep -c "^job: .*, attempt ")" = "$attempts" ] || fail "limit: it was cancelled and started again"

# An array: each line of the table is a run.
printf '# gates\nobjective.gate=clip run.seed=3\nobjective.gate=erf run.seed=4\n' >table
submit --array 0-1 "$root/jobs/slurm/sweep.sh" "$input" "$work/table" run.directory="$work/sweep" run.steps=2
until_true 60 over "$id" || fail "the array is not over"
for i in 0 1; do
    [ "$(field "sweep/run-$i" state)" = finished ] || fail "run $i of the array: $(cat ./*_$i.log | tail -n 10)"
done
grep -q 'gate = "clip"' sweep/run-0/settings.cfg && grep -q 'gate = "erf"' sweep/run-1/settings.cfg || fail "the array does not follow its table"

# What the time limit came to.
# undisturbed RUN: it has the bits of one that nothing was done to.
undisturbed() {
    same_numbers "$1" reference
    same_rollouts "$1" reference
    same "$1/checkpoints/step-000012.h5" reference/checkpoints/step-000012.h5 /provenance /settings /manifest
}
if [ $limits = yes ]; then
    ended "$late" 150 COMPLETED
    says "$late" "stopping after step [4-9], asked by SIG"
    says "$late" "^job: exit status 85, checkpoint of step [4-9], of step 0 before, of 12 in all"
    says "$late" "^job: $late, attempt 2, "
    undisturbed late
    ended "$deaf" 60 TIMEOUT
    [ "$(field deaf state) $(field deaf checkpoint_step)" = "running 3" ] || fail "deaf: status.json says $(cat deaf/status.json)"
    scontrol requeue "$deaf" || fail "deaf: it cannot be requeued"
    ended "$deaf" 60 COMPLETED
    says "$deaf" "goes on after step 3, from "
    undisturbed deaf
fi

# Answers of what the first job has trained.
printf '{"question": "1+2=", "answer": "1"}\n' >prompts.jsonl
submit "$root/jobs/slurm/evaluate.sh" "$input" "$work/prompts.jsonl" "$work/answers.jsonl" model.path="$work/first/model" rollout.group_size=2
ended "$id" 60 COMPLETED
grep -q '"completions"' answers.jsonl || fail "evaluate.sh gives no answers"
cluster_down
finish
