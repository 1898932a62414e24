#!/bin/sh
# restart.sh CASE: a run that is started again goes on, to the bit, as if it had never ended.
#   full, lora, sft, penalty: stopped at several steps, on other numbers of ranks    changes: settings that are other ones
#   damaged: checkpoints that cannot be used    picked: --restart and --fresh
#   weights: a base model that is another one    unreadable: a disk that gives errors, for a moment or for good
. "$(dirname "$0")/lib.sh"
steps=12 # of 6 prompts: more than an epoch of 64
settings="checkpoint.every=5"

# go RANKS RUN STEPS [ARGUMENT...]
# shellcheck disable=SC2086
go() {
    ranks=$1
    run=$2
    upto=$3
    shift 3
    train "$ranks" "$run" $settings run.steps="$upto" "$@"
}

# says RUN WORDS: its log does.
says() {
    grep -q -- "$2" "$1/log.txt" || fail "$1/log.txt does not say '$2'"
}

# refuse WORDS RUN [ARGUMENT...]: exit status 2 and a sentence, and the run as it was.
# shellcheck disable=SC2086
refuse() {
    words=$1
    run=$2
    shift 2
    cp -r "$run" kept
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" $settings "$@"
    have=$?
    [ $have = 2 ] || fail "$run $*: exit status $have, expected 2: $(cat err)"
    grep -q "^gradus: error: .*$words" err || fail "$run $*: does not say '$words': $(cat err)"
    diff -r "$run" kept >out || fail "$run $*: a refused run changed $(cat out)"
    rm -rf kept
}

# flip FILE OFFSET: turns one byte over.
flip() {
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\$(printf '%03o' $((255 - byte)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

bits() {
    go 1 whole $steps
    # Stopped at three steps, gone on with by another number of ranks each time, once in shards.
    go 1 parts 2
    go 3 parts 7 parallel.shard=true
    says parts "goes on after step 2, from .*checkpoints/step-000002.h5"
    says parts "settings: other than before: run.steps is 7, was 2; parallel.shard is true, was false"
    go 2 parts $steps
    grep -q '"state": "finished", "step": 12, .*"checkpoint_step": 12, "next": "done", .*"attempt": 3,' parts/status.json ||
        fail "parts: status.json says $(cat parts/status.json)"
    same_whole whole parts
    # Once more, when all is done: nothing changes.
    cp -r parts before
    go 2 parts $steps
    says parts "finished after step 12 of 12"
    same_whole before parts
    twice=$("$SYSTEM_TOOL" prompts parts/rollouts/step-*.h5 | head -n 64 | sort | uniq -d)
    [ -z "$twice" ] || fail "prompts (source, row) that stand twice in an epoch: $twice"
    "$GRADUS" inspect parts >out || fail "inspect parts"
    grep -q "epoch 1 of source 0: 64 prompts, none twice" out || fail "inspect does not count the first epoch: $(cat out)"
    grep -q "epoch 2 of source 0: 8 prompts, none twice" out || fail "inspect does not count the second epoch: $(cat out)"
}

case $1 in
full) bits ;;
lora)
    settings="$settings lora.rank=4 lora.alpha=8 objective.kl_coef=0.01"
    bits
    ;;
sft)
    settings="$settings run.method=sft data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"worked\";})"
    bits
    ;;
penalty)
    settings="$settings model.path=$SYSTEM_WORK/qwen3 objective.kl_coef=0.01 objective.kl_in=reward update.mini_batches=2 parallel.groups_per_tile=1"
    bits
    ;;
changes)
    go 1 run 5
    refuse "the run in .* began with other settings: optimizer.learning_rate is 0.002, was 0.001; these may not" run run.steps=5 optimizer.learning_rate=0.002
    refuse "run.seed is 1, was 0.*but this may: run.steps is 9, was 5" run run.steps=9 run.seed=1
    refuse 'objective.gate is "clip", was "erf"; these may not' run run.steps=5 objective.gate=clip
    refuse "run.steps = 4 is less than the 5 steps that .*step-000005.h5 has behind it" run run.steps=4
    refuse "holds .* tensors\|model/config.json is not the file\|began with other settings" run run.steps=5 lora.rank=4 lora.alpha=8
    refuse "qwen3/config.json is not the file any more" run run.steps=5 model.path="$SYSTEM_WORK/qwen3"
    head -n 63 "$SYSTEM_WORK/sums.jsonl" >less.jsonl
    refuse "less.jsonl is not the file any more that .*step-000005.h5 was written with" run run.steps=5 \
        data.train="({path=\"$work/less.jsonl\";prompt=\"question\";answer=\"answer\";})"
    # The same file and the same directory elsewhere, and what no number depends on.
    cp "$SYSTEM_WORK/sums.jsonl" moved.jsonl
    mv run moved
    go 1 moved 7 parallel.threads=2 checkpoint.keep=1 output.show_every=1 rollout.answers_in_flight=3 \
        data.train="({path=\"$work/moved.jsonl\";prompt=\"question\";answer=\"answer\";})"
    says moved "run.directory is .*moved.*, was .*run"
    go 1 whole 7
    same_whole whole moved
    [ "$(ls moved/checkpoints)" = step-000007.h5 ] || fail "checkpoint.keep = 1 keeps $(ls moved/checkpoints)"
    # Another device: goes on, and says from where on bits may differ.
    cp -r moved device
    go 1 device 8 run.device=check
    says device "bits may differ from step 8 on: it was computed by .*, and is by the cpu backend under guard"
    # Changed settings before there is a checkpoint.
    cp -r moved none
    rm none/checkpoints/*
    refuse "began with other settings: run.seed" none run.steps=7 run.seed=1
    go 1 none 7 output.show_every=0
    same_whole whole none
    ;;
damaged)
    settings="checkpoint.every=2 checkpoint.keep=3"
    go 1 whole 8
    go 1 run 6
    cp -r run all
    newest=run/checkpoints/step-000006.h5
    flip $newest $(($(wc -c <$newest) / 2))
    go 2 run 8
    says run "step-000006.h5: .* does not have its checksum.*; the one before is tried"
    says run "goes on after step 4, from "
    [ -e $newest.gradus.damaged ] || fail "the damaged checkpoint is gone: $(ls run/checkpoints)"
    same_whole whole run
    [ "$(ls run/checkpoints | grep -c 'h5$')" = 3 ] || fail "kept: $(ls run/checkpoints)"
    # All of them: cut short, empty, flipped.
    head -c 1000 all/checkpoints/step-000002.h5 >part && mv part all/checkpoints/step-000002.h5
    : >all/checkpoints/step-000004.h5
    flip all/checkpoints/step-000006.h5 2000
    refuse "none of its 3 checkpoints is good" all run.steps=8
    train 1 all --fresh $settings run.steps=8
    same_whole whole all
    ;;
weights)
    # Under an adapter, and where all weights are trained: both began with them.
    for kind in adapter full; do
        rm -rf base
        cp -r "$SYSTEM_WORK/qwen2" base
        settings="model.path=$work/base"
        [ $kind = full ] || settings="$settings lora.rank=4 lora.alpha=8"
        go 1 $kind 2
        cp -p base/model.safetensors kept.safetensors
        flip base/model.safetensors $(($(wc -c <base/model.safetensors) - 1000))
        touch -r kept.safetensors base/model.safetensors # neither its size nor its time tell
        refuse "the weights in $work/base are not those any more that .*step-000002.h5 was written with" $kind run.steps=4
        mv base elsewhere
        mv kept.safetensors elsewhere/model.safetensors
        go 2 $kind 3 model.path="$work/elsewhere"
        mv elsewhere base
        go 1 $kind 4
        go 1 whole-$kind 4
        same_whole whole-$kind $kind
    done
    "$GRADUS" inspect full/checkpoints/step-000004.h5 >out
    grep -q '^  weights  *[0-9a-f]\{64\}$' out || fail "inspect does not tell the checksum of the weights: $(cat out)"
    ;;
unreadable)
    [ -n "${SYSTEM_KILL:-}" ] && [ -f "$SYSTEM_KILL" ] || { echo "skipped: no library to preload in this build"; exit 77; }
    settings="checkpoint.every=2"
    go 1 whole 8
    go 1 run 6
    # fails PATH FIRST LAST: so do reads of files of that name on rank 0, from here on.
    fails() {
        export FAULT_LIBRARY="$SYSTEM_KILL" KILL_RANK=0 KILL_EVENT=read KILL_ACTION=eio KILL_PATH="$1" KILL_AT="$2" KILL_LAST="$3" KILL_REPORT="$work/hits"
        rm -f hits
    }
    fails 'step-000006.h5$' 0 0
    cp -r run counted
    go 1 counted 6
    reads=$(sed -n 's/^seen \([0-9]*\) .*/\1/p' hits)
    [ "$reads" -gt 20 ] || fail "a checkpoint is read in $reads calls"
    # Once: at the first read, while HDF5 opens it, while it is checked, and while it is loaded.
    for at in 1 25 $((reads / 2)) "$reads"; do
        cp -r run once
        fails 'step-000006.h5$' "$at" "$at"
        go 1 once 8
        grep -q '^hit' hits || fail "once: read $at of $reads does not happen"
        says once "step-000006.h5.*; it is read again in 1 s"
        says once "goes on after step 6, from "
        same_whole whole once
        rm -rf once
    done
    # For good: the one before; the file stays, aside.
    cp -r run gone
    fails 'step-000006.h5$' 1 1000000
    go 2 gone 8
    says gone "step-000006.h5.*Input/output error; it is read again in 3 s"
    says gone "step-000006.h5.*Input/output error; the one before is tried"
    says gone "goes on after step 4, from "
    [ -e gone/checkpoints/step-000006.h5.gradus.damaged ] || fail "gone: the file is not put aside: $(ls gone/checkpoints)"
    same_whole whole gone
    # All of them: another attempt may find the disk well.
    cp -r run none
    fails '.h5$' 1 1000000
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/none" $settings run.steps=8
    have=$?
    [ $have = 75 ] || fail "none: exit status $have, expected 75: $(cat err)"
    grep -q "^gradus: error: .*none of its 2 checkpoints can be used, for 2 of them cannot be read" err || fail "none: $(cat err)"
    diff -r run none >out || fail "none: a run that cannot begin changed $(cat out)"
    unset FAULT_LIBRARY
    go 1 none 8
    same_whole whole none
    ;;
picked)
    settings="checkpoint.every=2 checkpoint.keep=9"
    go 1 whole 8
    cp -r whole run
    go 1 run 8 --restart run/checkpoints/step-000004.h5
    says run "goes on after step 4, from run/checkpoints/step-000004.h5"
    says run "2 files of steps after 4 removed"
    same_whole whole run
    go 1 run 6 --restart run/checkpoints/step-000004.h5 output.rollouts_every=5
    [ "$(ls run/rollouts | wc -l) $(ls run/checkpoints | wc -l)" = "5 3" ] || fail "what later steps left stays: $(ls run/rollouts run/checkpoints)"
    [ "$(value run /step/valid)" = 6 ] && [ "$(wc -l <run/metrics.jsonl)" = 6 ] || fail "metrics of later steps stay"
    # Of another run, into a directory of its own: the steps before it are not there.
    go 1 branch 8 --restart whole/checkpoints/step-000006.h5
    same whole/checkpoints/step-000008.h5 branch/checkpoints/step-000008.h5 /provenance /manifest /settings
    same_rollouts branch whole
    [ "$(value branch /step/valid)" = 8 ] && [ "$(value branch /step/loss 5)" = nan ] || fail "branch: $(value branch /step/loss 5)"
    refuse "is not a checkpoint of it" branch run.steps=8 --restart whole/checkpoints/step-000004.h5
    refuse "--fresh removes the files" branch run.steps=8 --fresh --restart branch/checkpoints/step-000008.h5
    refuse "sums.jsonl: a checkpoint is called step" branch run.steps=8 --fresh --restart "$SYSTEM_WORK/sums.jsonl"
    go 1 branch 8 --fresh --restart whole/checkpoints/step-000004.h5
    same whole/checkpoints/step-000008.h5 branch/checkpoints/step-000008.h5 /provenance /manifest /settings
    grep -q '"attempt": 1,' branch/status.json || fail "--fresh counts on: $(cat branch/status.json)"
    says branch "started over: the files of the earlier run"
    ;;
esac
finish
