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
# A small disk: full while a checkpoint or a step's files are written, room is made, and the run goes on to the bit. What a run
# keeps, two checkpoints among it, fits: with checkpoint.keep=1 there are no more while one is written.
mkdir small
train 1 whole run.steps=8 checkpoint.every=2
room=$(($(du -sk whole | cut -f1) + 200))
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=${room}k gradus-test small 2>/dev/null; then
    trap 'umount "$work/small"' EXIT
    for free in 300 80 20; do
        rm -rf small/*
        mkdir small/run
        dd if=/dev/zero of=small/ballast bs=1k count=$((room - 100 - free)) 2>/dev/null
        job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/small/run" run.steps=8 checkpoint.every=2
        have=$?
        [ $have = 75 ] || [ $have = 2 ] || fail "$free kB: exit status $have, expected 75"
        grep -q "^gradus: error: .*No space left" err || fail "$free kB: does not say that the disk is full: $(cat err)"
        rm small/ballast
        train 1 small/run run.steps=8 checkpoint.every=2 checkpoint.keep=1
        same_numbers whole small/run
        same whole/checkpoints/step-000008.h5 small/run/checkpoints/step-000008.h5 /provenance /manifest /settings
    done
    umount "$work/small"
    trap - EXIT
else
    echo "no small disk can be mounted here: not filled"
fi

# A directory that cannot be written: to root everything can, but not on a disk that is mounted so.
mkdir locked
if [ "$(id -u)" = 0 ]; then
    mount -t tmpfs -o ro,size=100k gradus-test locked 2>/dev/null || echo "no disk can be mounted here: none is read-only"
else
    chmod 555 locked
fi
if ! mkdir locked/try 2>/dev/null; then
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/locked/run"
    have=$?
    [ $have = 2 ] || fail "a read-only directory: exit status $have, expected 2"
    grep -q "^gradus: error: .*locked/run: the folder cannot be made" err || fail "a read-only directory: $(cat err)"
fi
umount locked 2>/dev/null || chmod 755 locked
finish
