#!/bin/sh
# beat.sh: while a step takes long the run says every 20 s in status.json, and every second in its heartbeat, that it lives; seen with
# a clock that runs 40 times as fast.
. "$(dirname "$0")/lib.sh"
[ -n "${SYSTEM_KILL:-}" ] && [ -f "$SYSTEM_KILL" ] || { echo "skipped: no library to preload in this build"; exit 77; }
export FAULT_LIBRARY="$SYSTEM_KILL" KILL_CLOCK=40

# A rollout that would take a minute.
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/run" rollout.prompts_per_step=24 rollout.group_size=6000 rollout.answers_in_flight=100 &
job=$!
for _ in $(seq 200); do
    ! grep -q 'phase rollout' run/heartbeat 2>/dev/null || break
    sleep 0.05
done

# How often each file changes in 6 s, 240 s by the run's clock: status.json is replaced, a line of the heartbeat counts.
beats() {
    sed -n 's/^\([0-9]*\) .*/\1/p' run/heartbeat
}
first=$(beats) files=0 before=
for _ in $(seq 120); do
    file=$(stat -c '%i %Y %Z' run/status.json)
    [ "$file" = "$before" ] || files=$((files + 1))
    before=$file
    sleep 0.05
done
lines=$(($(beats) - first))
[ "$files" -ge 7 ] && [ "$files" -le 17 ] || fail "status.json was replaced $files times in 12 beats"
[ "$lines" -ge 10 ] && [ "$lines" -le 300 ] || fail "the heartbeat was written $lines times in 240 s"
grep -q '"state": "running", "step": 0, .*"next": "wait"' run/status.json || fail "status.json says $(cat run/status.json)"
grep -q "phase rollout" run/heartbeat || fail "the rollout was over: $(cat run/heartbeat)"
kill -USR1 "$(sed -n 1p err.pids)"
wait $job
have=$?
[ $have = 85 ] || fail "exit status $have, expected 85: $(cat err)"
finish
