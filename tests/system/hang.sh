#!/bin/sh
# hang.sh: a rank that hangs, or has died, ends the job soon, with exit status 75 and a sentence that names its host, phase, step and
# tile; ranks that only take long end nothing.
. "$(dirname "$0")/lib.sh"

# begin RUN SETTING...: starts a long run on 3 ranks; $job is the job.
begin() {
    run=$1
    shift
    job 3 train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" run.steps=100000 parallel.deadline_s=2 output.rollouts_every=0 \
        parallel.groups_per_tile=1 "$@" &
    job=$!
    for _ in $(seq 400); do
        grep -q '"step": [1-9]' "$run/status.json" 2>/dev/null && break
        sleep 0.05
    done
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
ended() {
    begin_s=$(date +%s)
    wait "$job"
    have=$?
    took_s=$(($(date +%s) - begin_s))
    kill -CONT "$pid" 2>/dev/null
    [ $have = 75 ] || [ "${3:-}" = any ] || fail "$1: exit status $have, expected 75"
    [ $took_s -le 15 ] || fail "$1: the job ended after $took_s s"
    grep -q "^gradus: error: $2" err || fail "$1: does not say '$2' but: $(ours)"
    grep -q "\"exit\": 75, \"error\": \"$2" "$1/status.json" || fail "$1: status.json says $(cat "$1/status.json")"
}

host="host [^ ]*, process"
begin rollout rollout.max_new_tokens=100 rollout.group_size=8
stop_in rollout rollout
ended rollout "rank 1 ($host $pid) gives no sign of life for 2 s in phase 'rollout' of step $step; rank 0 waits"

begin gradient parallel.shard=true
stop_in gradient gradient
ended gradient "rank 1 ($host $pid) gives no sign of life for 2 s in phase 'gradient' of step $step, tile [0-5]; rank 0 waits"

# Rank 0, which writes the files, may be the one.
begin first
pid=$(line first 0 | awk '{ print $NF }')
kill -STOP "$pid"
ended first "rank 0 ($host $pid) gives no sign of life for 2 s in phase '.*' of step .*; rank 1 waits"

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
begin short parallel.deadline_s=20
stop_in short rollout
sleep 4
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
finish
