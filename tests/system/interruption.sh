#!/bin/sh
# interruption.sh: a run that is asked to stop leaves a good checkpoint; one that is killed loses nothing it had written.
. "$(dirname "$0")/lib.sh"

lines() {
    if [ -f "$1" ]; then wc -l <"$1"; else echo 0; fi
}

# begin RANKS RUN [SETTING...]: starts a long run and waits until 5 steps are written; $job is the job.
begin() {
    ranks=$1
    run=$2
    shift 2
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" run.steps=20000 "$@" &
    job=$!
    for _ in $(seq 600); do
        [ "$(lines "$run/metrics.jsonl")" -lt 5 ] || break
        sleep 0.05
    done
    [ "$(lines "$run/metrics.jsonl")" -ge 5 ] || fail "$run does not begin: $(cat err)"
}

# complete RUN: everything that its finished steps wrote is there and whole.
complete() {
    steps=$(lines "$1/metrics.jsonl")
    valid=$(value "$1" /step/valid)
    [ "$valid" -ge "$steps" ] || fail "$1: diagnostics.h5 holds $valid steps, metrics.jsonl $steps"
    "$SYSTEM_TOOL" finite "$1/diagnostics.h5" kl reward_penalised rewards/length/mean rewards/length/std \
        gate/derivative_positive gate/derivative_negative gate/tau_error time/diagnosis rewards/math/ rewards/overlong/ rewards/program/ rewards/plugin/ advantage/baseline completions/forced_ratio redrawn_windows gxpo/ sfpo/ distill/ adversarial/ mauve/ time/mauve update/fallback || fail "$1: a number of a finished step is missing"
    for step in $(seq "$valid"); do
        file=$1/rollouts/$(printf 'step-%06d.h5' "$step")
        "$GRADUS" inspect --verify "$file" >out 2>err || fail "$file: $(cat err)"
    done
    newest=$(ls "$1"/checkpoints/step-*.h5 | tail -n 1)
    "$GRADUS" inspect --verify "$newest" >out 2>err || fail "$newest: $(cat err)"
    grep -q "verified: every checksum" out || fail "$newest: is not verified"
}

# asked RUN: it has stopped with exit status 85 and a checkpoint of its last step.
asked() {
    wait "$job"
    have=$?
    [ $have = 85 ] || fail "$1: exit status $have, expected 85: $(cat err)"
    complete "$1"
    last=$(lines "$1/metrics.jsonl")
    [ "$newest" = "$1/checkpoints/$(printf 'step-%06d.h5' "$last")" ] || fail "$1: the newest checkpoint after step $last is $newest"
    grep -q "\"state\": \"stopped\", \"step\": $last, .*\"next\": \"continue\", \"exit\": 85" "$1/status.json" ||
        fail "$1: status.json says $(cat "$1/status.json")"
    grep -q "stopping after step $last, asked by" "$1/log.txt" || fail "$1: log.txt does not say why it stopped"
    [ -z "$(find "$1" -name '*.part')" ] || fail "$1: unfinished files stay: $(find "$1" -name '*.part')"
}

begin 1 term
kill -TERM "$(sed -n 1p err.pids)"
asked term

begin 3 term-ranks
kill -TERM "$(sed -n 2p err.pids)"
asked term-ranks

begin 2 usr1
kill -USR1 "$(sed -n 1p err.pids)"
asked usr1

# Killed at different moments of a step.
for moment in 0.00 0.01 0.02 0.03; do
    begin 1 killed checkpoint.every=2
    sleep $moment
    kill -KILL "$(sed -n 1p err.pids)"
    wait "$job" 2>/dev/null
    complete killed
    grep -q '"state": "running"' killed/status.json || fail "killed: status.json says $(cat killed/status.json)"
    rm -rf killed
done

begin 2 killed-rank checkpoint.every=2
kill -KILL "$(sed -n 2p err.pids)"
wait "$job" 2>/dev/null
complete killed-rank
kept=$(basename "$newest" .h5 | sed 's/step-0*//')
train 2 killed-rank run.steps=$((kept + 3)) checkpoint.every=2
grep -q "goes on after step $kept, from" killed-rank/log.txt || fail "killed-rank does not go on after step $kept"
complete killed-rank
[ "$(value killed-rank /step/valid)" = $((kept + 3)) ] || fail "killed-rank: $(value killed-rank /step/valid) steps, expected $((kept + 3))"
train 2 killed-rank --fresh
[ -z "$(find killed-rank -name '*.part')" ] || fail "--fresh leaves unfinished files"
[ "$(ls killed-rank/rollouts | wc -l)" = 3 ] || fail "--fresh leaves rollouts of the earlier run"
finish
