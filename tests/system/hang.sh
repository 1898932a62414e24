#!/bin/sh
# hang.sh: a rank that hangs, or has died, ends the job soon, with exit status 75 and a sentence that names its host, phase, step and
# tile; ranks that only take long end nothing.
. "$(dirname "$0")/lib.sh"

# A machine that does other work may leave a rank without a turn for seconds: that must not look like a hang.
sign_s=6 late_s=6

# start RANKS RUN SETTING...: starts a run of at most 4 minutes; $job is the job. begin RUN SETTING...: on 3 ranks; it makes a step.
start() {
    ranks=$1 run=$2
    shift 2
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" run.steps=5000 parallel.deadline_s=$sign_s run.wall_time_s=240 \
        output.rollouts_every=0 parallel.groups_per_tile=1 "$@" &
    job=$!
}

begin() {
    start 3 "$@"
    for _ in $(seq 1200); do
        ! grep -q '"step": [1-9]' "$run/status.json" 2>/dev/null || return 0
        sleep 0.05
    done
    fail "$run: no step in a minute: $(ours | tail -n 2)"
    finish
}

# line RUN RANK: its line in the file of heartbeats.
line() {
    sed -n "s/^\(.* rank $2 host .*[^ ]\) *$/\1/p" "$1/heartbeat"
}

# stop_in RUN PHASE: stops rank 1 while it is in that phase; $pid is its process, $step the step.
stop_in() {
    pid=$(line "$1" 1 | awk '{ print $NF }')
    for _ in $(seq 400); do
        kill -STOP "$pid"
        # shellcheck disable=SC2046
        set -- "$1" "$2" $(line "$1" 1)
        step=$5
        [ "$9" != "$2" ] || return
        kill -CONT "$pid"
        sleep 0.01
    done
    fail "$1: rank 1 is never seen in $2"
}

# ended RUN WORDS [any]: the job ends with 75, or any exit status of the launcher, and one sentence, which is in status.json too.
pid= most_s=40
ended() {
    begin_s=$(date +%s)
    wait "$job"
    have=$?
    took_s=$(($(date +%s) - begin_s))
    [ -z "$pid" ] || kill -CONT "$pid" 2>/dev/null
    [ $have = 75 ] || [ "${3:-}" = any ] || fail "$1: exit status $have, expected 75"
    [ $took_s -le "$most_s" ] || fail "$1: the job ended after $took_s s"
    grep -q "^gradus: error: $2" err || fail "$1: does not say '$2' but: $(ours)"
    grep -q "\"exit\": 75, \"error\": \"$2" "$1/status.json" || fail "$1: status.json says $(cat "$1/status.json")"
}

host="host [^ ]*, process"
begin rollout rollout.max_new_tokens=100 rollout.group_size=8
stop_in rollout rollout
ended rollout "rank 1 ($host $pid) gives no sign of life for $sign_s s in phase 'rollout' of step $step; rank 0 waits"

begin gradient parallel.shard=true
stop_in gradient gradient
ended gradient "rank 1 ($host $pid) gives no sign of life for $sign_s s in phase 'gradient' of step $step, tile [0-5]; rank 0 waits"

# Rank 0, which writes the files, may be the one.
begin first
pid=$(line first 0 | awk '{ print $NF }')
kill -STOP "$pid"
ended first "rank 0 ($host $pid) gives no sign of life for $sign_s s in phase '.*' of step .*; rank 1 waits"

# A rank whose process is gone, under a launcher that lets the others live.
if $SYSTEM_LAUNCH 1 --enable-recovery true 2>/dev/null; then
    launch=$SYSTEM_LAUNCH
    SYSTEM_LAUNCH="${launch% *} --enable-recovery ${launch##* }"
    begin dead parallel.deadline_s=600
    pid=$(line dead 2 | awk '{ print $NF }')
    kill -KILL "$pid"
    ended dead "rank 2 ($host $pid) has died in phase '.*' of step .*; rank 0 waits" any
    SYSTEM_LAUNCH=$launch
fi

# A rank that is stopped for less than that is waited for.
begin short parallel.deadline_s=60
stop_in short rollout
sleep 8
before=$(grep -o '"step": [0-9]*' short/status.json)
kill -CONT "$pid"
for _ in $(seq 200); do
    [ "$(grep -o '"step": [0-9]*' short/status.json)" = "$before" ] || break
    sleep 0.05
done
kill -USR1 "$(line short 0 | awk '{ print $NF }')"
wait "$job"
[ $? = 85 ] || fail "short: a job that went on does not end with 85: $(ours | tail -n 2)"
[ "$(grep -o '"step": [0-9]*' short/status.json)" != "$before" ] || fail "short: the run did not go on"
[ ! -e short/heartbeat ] || fail "short: the file of heartbeats stays behind a run that ended in order"

# Signs of life are no progress: rank 1 gets on, but so slowly that its phase has no end; or its file system keeps it.
[ -n "${SYSTEM_KILL:-}" ] && [ -f "$SYSTEM_KILL" ] || { echo "there is no library to preload in this build: slow ranks not tried"; finish; }
pid= most_s=90
# slow EVENT FIRST ACTION MS [PATH]
slow() {
    export FAULT_LIBRARY="$SYSTEM_KILL" KILL_RANK="${6:-1}" KILL_EVENT="$1" KILL_AT="$2" KILL_LAST=1000000000 KILL_ACTION="$3" KILL_MS="$4" KILL_PATH="${5:-/}"
}
late="longer than the $late_s s that this may take (parallel.phase_deadline_s): the job ends"
slow rollout 200 slow 100
start 3 draws rollout.max_new_tokens=100 rollout.group_size=8 parallel.deadline_s=600 parallel.phase_deadline_s=$late_s
ended draws "rank 1 ($host [0-9]*) is still, after [0-9]* s, in phase 'rollout' of step [1-9][0-9]*, $late"
slow gradient 100 slow 300
start 3 computes parallel.deadline_s=600 parallel.phase_deadline_s=$late_s
ended computes "rank 1 ($host [0-9]*) is still, after [0-9]* s, in phase 'gradient' of step [1-9][0-9]*, tile [0-5], $late"
# A call that does not come back, beside the computation: of one rank among others, and of one alone.
for ranks in 3 1; do
    slow piece 1 hang 0 /checkpoints/step-000003 $((ranks / 2))
    start $ranks disk-$ranks parallel.deadline_s=600 parallel.phase_deadline_s=$late_s checkpoint.every=1
    ended disk-$ranks "rank $((ranks / 2)) ($host [0-9]*) is still, after [0-9]* s, in phase 'checkpoint' of step 3, $late"
    [ -f disk-$ranks/checkpoints/step-000002.h5 ] || fail "disk-$ranks: the checkpoint before is gone"
done
unset FAULT_LIBRARY
finish
