#!/bin/sh
# kill.sh CASE: a run that is killed again and again leaves, once it has finished, the bits of a run that never was.
#   rl, lora, sft: kill -9 of one rank or of all in rollout, gradient, reduction, optimizer step, while a checkpoint is written
#   and where files get their names, on 1 to 3 ranks; the moments are drawn from a seed, and printed
#   calls: at the calls that change the file of one checkpoint, one after another: a kill, a full disk, a fault, a short write
#
#   GRADUS_KILLS   how many kills, or "all" calls; without it few, for a suite of minutes
. "$(dirname "$0")/lib.sh"
[ -n "${SYSTEM_KILL:-}" ] && [ -f "$SYSTEM_KILL" ] || { echo "skipped: no library to preload in this build"; exit 77; }
steps=10
settings="checkpoint.every=2 run.steps=$steps"

# chosen N MOST: a number from 1 to MOST, the N-th of the seed.
chosen() {
    awk -v n="$1" -v most="$2" 'BEGIN { srand(20261127 + 7919 * n); rand(); print 1 + int(most * rand()) }'
}

# attempt RANKS RUN: once more; what happens to it is in the KILL_ variables.
attempt() {
    : >hits
    # shellcheck disable=SC2086
    job "$1" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$2" $settings
}

# whole RUN: every checkpoint that has its name is.
whole() {
    for file in "$1"/checkpoints/step-*.h5; do
        [ ! -f "$file" ] || "$GRADUS" inspect --verify "$file" >out 2>said || fail "$1: $(cat said)"
    done
}

# events EVENT: how many an undisturbed run has on one rank (2 for a reduction).
events() {
    ranks=1
    [ "$1" != reduction ] || ranks=2
    FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=0 KILL_EVENT=$1 KILL_AT=0 KILL_ACTION=none KILL_REPORT=$work/count attempt $ranks counted
    rm -rf counted
    sed -n 's/^seen \([0-9]*\) .*/\1/p' count
    rm -f count
}

kills() {
    attempt 1 whole || fail "whole: $(cat err)"
    wanted=${GRADUS_KILLS:-12}
    made=0 n=0 round=0
    for event in rollout gradient reduction optimizer write rename; do
        eval "events_$event=$(events $event)"
        eval "[ \"\$events_$event\" -gt 4 ] || fail \"$event: an undisturbed run has \$events_$event events\""
    done
    [ $failures = 0 ] || finish
    while [ $made -lt "$wanted" ] && [ $n -lt $((4 * wanted)) ]; do
        round=$((round + 1))
        rm -rf run
        # Some kills of one run, each between its restarts.
        for again in 1 2 3 4; do
            n=$((n + 1))
            event=$(echo rollout gradient reduction optimizer write rename | cut -d' ' -f$((n % 6 + 1)))
            ranks=$(chosen $n 3)
            [ $event != reduction ] || [ "$ranks" != 1 ] || ranks=2
            eval "most=\$events_$event"
            at=$(chosen $((n + 1000)) $((most / 2 / again)))
            rank=$(($(chosen $((n + 2000)) "$ranks") - 1))
            [ $event != rename ] || rank=0
            action=$(echo kill all | cut -d' ' -f"$(chosen $((n + 3000)) 2)")
            FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=$rank KILL_EVENT=$event KILL_AT=$at KILL_ACTION=$action KILL_PIDS=$work/err.pids \
                KILL_REPORT=$work/hits attempt "$ranks" run && [ ! -s hits ] && { fail "attempt $n: no report"; break; }
            whole run
            if hit=$(grep '^hit' hits); then
                made=$((made + 1))
                echo "$made: $hit on rank $rank of $ranks, $action, after step $(tail -n 1 run/metrics.jsonl 2>/dev/null | sed -n 's/^{"step": \([0-9]*\).*/\1/p')"
            fi
            grep -q '"state": "finished"' run/status.json && break
        done
        attempt "$(chosen $((n + 4000)) 3)" run || fail "round $round does not finish: $(cat err)"
        same_whole whole run
        [ $failures = 0 ] || break
    done
    [ $made -ge "$wanted" ] || fail "$made kills of $wanted"
}

# calls: the file of the checkpoint after step 2, at each of its calls.
calls() {
    settings="checkpoint.every=1 run.steps=3 rollout.prompts_per_step=2 update.iterations=1 output.rollouts_every=0 checkpoint.keep=9"
    attempt 1 whole || fail "whole: $(cat err)"
    FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=0 KILL_EVENT=call KILL_PATH=/checkpoints/step-000002 KILL_AT=0 KILL_ACTION=none KILL_REPORT=$work/count \
        attempt 1 counted
    all=$(sed -n 's/^seen \([0-9]*\) .*/\1/p' count)
    echo "$all calls"
    [ "$all" -gt 40 ] || fail "only $all calls change the checkpoint"
    # In which order: what is written is on the disk before the file gets its name, and the name before anything else is done.
    FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=0 KILL_EVENT=call KILL_PATH=/checkpoints KILL_AT=0 KILL_ACTION=list KILL_REPORT=$work/order \
        attempt 1 ordered
    awk '$1 != "call" { next }
        $5 == "step-000002.h5.gradus.part" && $4 == "fsync" { safe = 1 }
        $5 == "step-000002.h5.gradus.part" && $4 ~ /write|truncate/ { safe = 0 }
        named { if ($4 " " $5 == "fsync checkpoints") lasting = 1; named = 0 }
        $5 == "step-000002.h5.gradus.part" && $4 == "rename" { named = 1; whole = safe }
        END { exit !(whole && lasting) }' order || fail "a checkpoint gets its name before it is on the disk: $(grep -n 'step-000002\|fsync' order | tail -n 12)"
    case ${GRADUS_KILLS:-} in
    all) stride=1 ;;
    "") stride=$((all / 8)) ;;
    *) stride=$((all / GRADUS_KILLS + 1)) ;;
    esac
    offset=1
    for action in kill enospc eio short; do
        at=$offset
        # The last ones are fsync, rename and fsync of the folder: never left out.
        for at in $(seq "$offset" "$stride" $((all - 4))) $(seq $((all - 3)) "$all"); do
            rm -rf run
            FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=0 KILL_EVENT=call KILL_PATH=/checkpoints/step-000002 KILL_AT="$at" KILL_ACTION=$action \
                KILL_REPORT=$work/hits attempt 1 run
            have=$?
            grep -q '^hit' hits || fail "$action at call $at: nothing happened"
            case $action-$have in
            kill-137 | enospc-75 | eio-75 | short-0) ;;
            # Behind our own calls, unlink and open, HDF5 tries to open the file, and where that fails again: nothing is lost.
            enospc-0 | eio-0)
                { [ "$at" -gt 2 ] && grep -q '^hit.* call open' hits; } || grep -q '^hit.*\(unlink\|fsync checkpoints\)' hits ||
                    fail "$action at call $at ($(grep '^hit' hits)): exit status 0: $(cat err)"
                ;;
            *) grep -q '^hit.*\(unlink\|fsync checkpoints\)' hits || fail "$action at call $at ($(grep '^hit' hits)): exit status $have: $(cat err)" ;;
            esac
            whole run
            [ -f run/checkpoints/step-000001.h5 ] || fail "$action at call $at: the checkpoint before is gone"
            attempt 1 run || fail "$action at call $at: does not go on: $(cat err)"
            same_numbers whole run
            same whole/checkpoints/step-000003.h5 run/checkpoints/step-000003.h5 /provenance /manifest /settings
        done
        offset=$((offset + 2))
    done
}

case $1 in
rl) settings="$settings model.path=$SYSTEM_WORK/qwen3 objective.kl_coef=0.01 parallel.groups_per_tile=1" && kills ;;
lora) settings="$settings lora.rank=4 lora.alpha=8" && kills ;;
sft)
    settings="$settings run.method=sft data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"worked\";})"
    kills
    ;;
calls) calls ;;
esac
finish
