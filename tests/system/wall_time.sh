#!/bin/sh
# wall_time.sh: a run stops with a checkpoint before the end of its job, wherever that end is told and whatever it is doing: between
# steps, in a rollout, in a step that has changed the parameters; asked twice, it does not wait for the end of such a step.
. "$(dirname "$0")/lib.sh"

# ended RUN SECONDS: exit status 85 before so many seconds had passed since `start`; $last is its last step.
ended() {
    have=$?
    took=$(($(date +%s) - start))
    [ $have = 85 ] || fail "$1: exit status $have, expected 85: $(cat err)"
    [ $took -le $(($2 + 2)) ] || fail "$1: ended after $took s, expected $2 and at most 2 for its start and a busy machine"
    last=0
    [ ! -f "$1/metrics.jsonl" ] || last=$(wc -l <"$1/metrics.jsonl")
    grep -q "\"state\": \"stopped\", \"step\": $last, .*\"exit\": 85" "$1/status.json" || fail "$1: status.json says $(cat "$1/status.json")"
    [ -z "$(find "$1" -name '*.part' -o -name run.lock)" ] || fail "$1: unfinished files stay"
}

# kept RUN: the checkpoint of its last step is there and good.
kept() {
    file=$1/checkpoints/$(printf 'step-%06d.h5' "$last")
    "$GRADUS" inspect --verify "$file" >out 2>err || fail "$1: $(cat err)"
    grep -q "\"checkpoint_step\": $last," "$1/status.json" || fail "$1: status.json says $(cat "$1/status.json")"
}

# by RUN SOURCE: the log says who told the end.
by() {
    grep -q "run: job_end_s = [0-9]*, source = $2, margin_s = 2" "$1/log.txt" || fail "$1: log.txt does not name $2"
    grep -q "asked by the end of the job" "$1/log.txt" || fail "$1: log.txt does not say why it stopped"
}

# limited RANKS RUN SETTING...
limited() {
    ranks=$1
    run=$2
    shift 2
    start=$(date +%s)
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" run.steps=5000 run.wall_margin_s=2 checkpoint.every_s=0 "$@"
}
unset SLURM_JOB_END_TIME GRADUS_JOB_END_TIME PBS_WALLTIME PBS_NODEFILE

# Between steps, on one rank and on two; it does work until then.
for ranks in 1 2; do
    limited $ranks setting-$ranks run.wall_time_s=8
    ended setting-$ranks 8
    kept setting-$ranks
    by setting-$ranks run.wall_time_s
    [ "$last" -ge 3 ] || fail "setting-$ranks: $last steps in 6 s"
    [ $took -ge 4 ] || fail "setting-$ranks: ended after $took s already"
done

# The batch system's word, of which the earliest counts; what has passed is another job's.
SLURM_JOB_END_TIME=$(($(date +%s) + 8)) GRADUS_JOB_END_TIME=$(($(date +%s) - 60))
export SLURM_JOB_END_TIME GRADUS_JOB_END_TIME
limited 2 slurm run.wall_time_s=500
ended slurm 8
unset SLURM_JOB_END_TIME GRADUS_JOB_END_TIME
kept slurm
by slurm SLURM_JOB_END_TIME

# A rollout that would not end in time is given up.
limited 1 rollout run.wall_time_s=6 rollout.group_size=6000
ended rollout 6
by rollout run.wall_time_s
[ "$last" = 0 ] || fail "rollout: $last steps were finished; this test is of a step that takes too long"

# A step that has changed the parameters goes on as long as there is time at all; then it ends without them.
limited 2 changed run.steps=20 run.wall_time_s=6 update.iterations=1000 rollout.group_size=64
ended changed 6
by changed run.wall_time_s
grep -q "given up, and its parameters with it" changed/log.txt || fail "changed: log.txt says $(grep stopping changed/log.txt)"
[ "$last" = 0 ] || fail "changed: $last steps were finished; this test is of a step that takes too long"
[ -z "$(ls changed/checkpoints 2>/dev/null)" ] || fail "changed: parameters in the middle of a step were saved"

# Asked once, such a step is finished first; asked again, it is not.
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/twice" run.steps=20 update.iterations=1000 rollout.group_size=64 &
job=$!
for _ in $(seq 600); do
    ! grep -q 'phase \(gradient\|reduction\|optimizer\)' twice/heartbeat 2>/dev/null || break
    sleep 0.05
done
sleep 2 # some passes of a thousand
kill -TERM "$(sed -n 1p err.pids)"
sleep 3
kill -0 $job || fail "twice: the first request ends a step that has changed the parameters"
start=$(date +%s)
kill -TERM "$(sed -n 1p err.pids)"
wait $job
ended twice 2
grep -q "asked by SIGTERM; .* given up, and its parameters with it" twice/log.txt || fail "twice: log.txt says $(grep stopping twice/log.txt)"
finish
