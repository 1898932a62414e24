#!/bin/sh
# stopping.sh: a run that is asked to stop in the middle of a long step gives that step up and leaves the checkpoint of the
# one before, bit for bit, also when the launcher is asked; a standard error that nobody reads ends nothing.
. "$(dirname "$0")/lib.sh"
reference_steps=3

# metrics_lines RUN
metrics_lines() {
    if [ -f "$1/metrics.jsonl" ]; then wc -l <"$1/metrics.jsonl"; else echo 0; fi
}

# begin RANKS RUN SETTING...: starts a run and waits until its first step is written; $job is the job.
begin() {
    ranks=$1
    run=$2
    shift 2
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" run.steps=500 "$@" &
    job=$!
    for _ in $(seq 1200); do
        [ "$(metrics_lines "$run")" -lt 1 ] || break
        sleep 0.05
    done
    [ "$(metrics_lines "$run")" -ge 1 ] || fail "$run does not begin: $(cat err)"
    sleep 0.2
}

# stopped RUN REASON EXIT: it ended so, with a checkpoint of its last step as an undisturbed run has it.
stopped() {
    wait "$job"
    have=$?
    [ $have = "$3" ] || fail "$1: exit status $have, expected $3: $(cat err launcher)"
    last=$(metrics_lines "$1")
    grep -q "\"state\": \"stopped\", \"step\": $last, .*\"checkpoint_step\": $last, \"next\": \"continue\", \"exit\": 85, .*\"advice\": \"the same .gradus train. goes on after step $last, from " \
        "$1/status.json" || fail "$1: status.json says $(cat "$1/status.json")"
    grep -q "stopping after step $last, asked by $2" "$1/log.txt" || fail "$1: log.txt does not say that $2 stopped it"
    [ -z "$(find "$1" -name '*.part' -o -name run.lock)" ] || fail "$1: unfinished files stay: $(find "$1" -name '*.part')"
    file=$(printf 'step-%06d.h5' "$last")
    [ "$last" -gt $reference_steps ] || same "$1/checkpoints/$file" "reference/checkpoints/$file" /provenance /settings /manifest
    "$GRADUS" inspect --verify "$1/checkpoints/$file" >out 2>err || fail "$1: $(cat err)"
}

# given_up RUN: the step at work was not waited for.
given_up() {
    grep -q "the step that was at work is given up" "$1/log.txt" || fail "$1: the step at work was finished first"
    [ "$("$SYSTEM_TOOL" value "$1/diagnostics.h5" /step/valid)" = "$(metrics_lines "$1")" ] || fail "$1: a step that was given up is in diagnostics.h5"
}

long="rollout.group_size=600 rollout.max_new_tokens=80 update.mini_batches=2"
# shellcheck disable=SC2086
train 2 reference run.steps=$reference_steps checkpoint.every=1 checkpoint.keep=9 $long

# Each signal, to one rank of two.
for signal in TERM HUP XCPU; do
    # shellcheck disable=SC2086
    begin 2 "$signal" $long
    kill -$signal "$(sed -n 2p err.pids)"
    stopped "$signal" "SIG$signal" 85
    given_up "$signal"
done

# ask_launcher SIGNAL: sends it to the launcher of the job that has begun; not 0 where that is not Open MPI's, and the job is
# stopped without it then.
open_mpi=yes
ask_launcher() {
    rank=$(sed -n 1p err.pids)
    if tr '\0' '\n' <"/proc/$rank/environ" 2>/dev/null | grep -q '^OMPI_COMM_WORLD_RANK='; then
        kill -"$1" "$(ps -o ppid= -p "$rank" | tr -d ' ')"
        return 0
    fi
    echo "the launcher is not Open MPI's: not asked by SIG$1"
    open_mpi=
    kill -TERM "$rank"
    wait "$job"
    return 1
}

# The launcher is asked, with the 2 s that it leaves by itself.
for signal in TERM HUP; do
    # shellcheck disable=SC2086
    begin 2 "launcher-$signal" $long
    if ask_launcher $signal; then
        stopped "launcher-$signal" "the launcher" 1
        given_up "launcher-$signal"
    fi
done

# What it hands on.
# shellcheck disable=SC2086
begin 2 launcher-USR1 $long
if ask_launcher USR1; then
    stopped launcher-USR1 SIGUSR1 85
fi

# A step that has changed the parameters is finished; a signal that continues a process is no request.
begin 1 changed update.iterations=150
kill -CONT "$(sed -n 1p err.pids)"
begun=$(metrics_lines changed)
for _ in $(seq 600); do
    [ "$(metrics_lines changed)" -le "$begun" ] || break
    sleep 0.05
done
[ "$(metrics_lines changed)" -gt "$begun" ] || fail "changed: SIGCONT stops the run"
sleep 0.2
kill -TERM "$(sed -n 1p err.pids)"
reference_steps=0
stopped changed SIGTERM 85

# Before the first step is finished there is no checkpoint, and status.json says what works then.
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/early" rollout.group_size=3000 &
job=$!
for _ in $(seq 600); do
    [ ! -f early/diagnostics.h5 ] || break
    sleep 0.05
done
sleep 0.3
kill -TERM "$(sed -n 1p err.pids)"
wait "$job"
have=$?
[ $have = 85 ] || fail "early: exit status $have, expected 85: $(cat err)"
grep -q '"state": "stopped", "step": 0, .*"next": "continue", "exit": 85' early/status.json || fail "early: status.json says $(cat early/status.json)"

# What status.json advises works: the same command goes on, to the bit, and begins again where there was no checkpoint.
last=$(metrics_lines TERM)
# shellcheck disable=SC2086
train 2 TERM run.steps=$((last + 1)) checkpoint.every=1 checkpoint.keep=9 $long
[ "$last" -ge 3 ] || same_rollouts TERM reference
train 1 early rollout.group_size=4 --fresh

# Nobody reads standard error any more. Open MPI's mpirun ends then, and its ranks with it: with a checkpoint.
for ranks in 1 2; do
    case $ranks in
    1) launch="env TMPDIR=$work.tmp OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_btl=self OMPI_MCA_pml=ob1 UCX_TLS=self" ;;
    *) launch="$SYSTEM_LAUNCH $ranks" ;;
    esac
    $launch "$GRADUS" train "$SYSTEM_WORK/input.cfg" run.directory="$work/closed-$ranks" run.steps=30 2>&1 | head -n 1 >out
    for _ in $(seq 200); do
        grep -q '"state": "running"' "closed-$ranks/status.json" || break
        sleep 0.1
    done
done
grep -q '"state": "finished", "step": 30' closed-1/status.json || fail "closed-1: status.json says $(cat closed-1/status.json)"
grep -q "run: finished after step 30 of 30" closed-1/log.txt || fail "closed-1: log.txt lacks its end"
# Hydra, for one, kills them.
[ -z "$open_mpi" ] || grep -qE '"state": "(finished|stopped)", .*"exit": (0|85)' closed-2/status.json ||
    fail "closed-2: status.json says $(cat closed-2/status.json)"
finish
