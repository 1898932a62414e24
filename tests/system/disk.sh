#!/bin/sh
# disk.sh: when a file cannot be written the run ends with a sentence and exit status 75, and what it had written stays.
. "$(dirname "$0")/lib.sh"

# full RUN WORDS SETTING...: the run must fail on FILE.
full() {
    run=$1
    words=$2
    [ $have = 75 ] || fail "$run: exit status $have, expected 75"
    [ "$(grep -c '^gradus: error: ' err)" = 1 ] || fail "$run: $(grep -c '^gradus: error: ' err) sentences of ours"
    grep -q "^gradus: error: .*$words" err || fail "$run: does not say '$words': $(cat err)"
    [ -z "$(find "$run" -name '*.part')" ] || fail "$run: unfinished files stay: $(find "$run" -name '*.part')"
}

# A limit on the size of files, in blocks of 512 bytes: settings, diagnostics and rollouts are smaller, the checkpoint is not.
(
    ulimit -f 500
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/limit" run.steps=8 checkpoint.every=2
)
have=$?
full limit "checkpoints/step-000002.h5.gradus.part"
[ "$(value limit /step/valid)" = 2 ] || fail "limit: diagnostics.h5 holds $(value limit /step/valid) steps, expected 2"
for step in 1 2; do
    "$GRADUS" inspect --verify limit/rollouts/step-00000$step.h5 >out || fail "limit: the rollouts of step $step"
done
grep -q '"state": "failed", "step": 2, .*"next": "continue", "exit": 75, "error": "' limit/status.json ||
    fail "limit: status.json says $(cat limit/status.json)"

train 1 limit run.steps=8 checkpoint.every=2
[ "$(value limit /step/valid)" = 8 ] || fail "limit does not go on: $(value limit /step/valid) steps"

# A disk that is full from the second line of metrics on.
if [ -w /dev/full ]; then
    mkdir full
    ln -s /dev/full full/metrics.jsonl
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/full"
    have=$?
    full full "metrics.jsonl: .*No space left"
    [ "$(value full /step/valid)" = 1 ] || fail "full: diagnostics.h5 holds $(value full /step/valid) steps, expected 1"
    "$GRADUS" inspect --verify full/rollouts/step-000001.h5 >out || fail "full: the rollouts of step 1"

    mkdir full-ranks
    ln -s /dev/full full-ranks/metrics.jsonl
    job 3 train "$SYSTEM_WORK/input.cfg" run.directory="$work/full-ranks"
    have=$?
    full full-ranks "metrics.jsonl: .*No space left"
fi
finish
