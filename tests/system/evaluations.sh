#!/bin/sh
# evaluations.sh: evaluations on the way of a run change no bit of it; a restart keeps those that are done and makes the others
# again to the same bits; the best checkpoint by an evaluation stays; asked to stop in one, the run stops and goes on.
. "$(dirname "$0")/lib.sh"
[ -n "${SYSTEM_KILL:-}" ] && [ -f "$SYSTEM_KILL" ] || { echo "skipped: no library to preload in this build"; exit 77; }
set="path = \"$SYSTEM_WORK/sums.jsonl\"; prompt = \"question\"; answer = \"answer\";"
sets="eval.sets=( { name = \"first\"; $set limit = 12; }, { name = \"level-2\"; $set rule = \"answer\"; limit = 5; template = \"{prompt} \"; } )"

# run RANKS NAME SETTING...: 7 steps, evaluated before the first, after 3, 6 and 7.
run() {
    ranks=$1
    name_of=$2
    shift 2
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$name_of" run.steps=7 checkpoint.keep=9 eval.every=3 eval.samples=2 \
        eval.pass_at='[1]' eval.max_new_tokens=50 "$sets" "$@"
}

good() {
    run "$@" || fail "run $*: exit status $?, $(tail -n 3 err)"
}

column() {
    for row in 0 1 2 3; do
        value "$1" "/eval/$2/$3" $row
    done | xargs
}

# same_run A B: also their evaluations, but for the seconds.
same_run() {
    same "$1/diagnostics.h5" "$2/diagnostics.h5" /provenance /time/ /memory/ tokens_per_s /seconds
}

good 1 whole checkpoint.every=2
for s in first level-2; do
    [ "$(column whole $s step)" = "0 3 6 7" ] || fail "$s is evaluated at steps $(column whole $s step)"
    [ "$(column whole $s backward_passes)" = "0 6 12 14" ] || fail "$s: backward passes $(column whole $s backward_passes)"
    # shellcheck disable=SC2046
    set -- $(column whole $s seconds)
    holds "$1 == 0 && $2 > 0 && $3 > $2 && $4 > $3" "seconds of $s: $*"
    # shellcheck disable=SC2046
    set -- $(column whole $s tokens)
    [ "$4" = "$(value whole /step/num_tokens 6)" ] || fail "$s: tokens $4, the run has $(value whole /step/num_tokens 6)"
done
grep -q 'eval: step = 3, set = level-2, pass_at_1 = 0.[0-9]*, error = 0.[0-9]*, ' whole/log.txt || fail "the log tells no evaluation"
"$GRADUS" inspect whole/diagnostics.h5 >said || fail "inspect: $(cat said)"

# What gradus eval finds of the model at the end is the last row, and of the model at the start the first.
for at in 0 3; do
    from=$SYSTEM_WORK/qwen2
    [ $at = 0 ] || from=whole/model
    job 2 eval "$SYSTEM_WORK/input.cfg" run.directory="$work/eval-$at" model.path="$from" eval.samples=2 eval.pass_at='[1]' eval.max_new_tokens=50 "$sets" ||
        fail "eval: $(cat err)"
    shown=$(awk '$1 == "first" { print $4 }' out)
    found=$(value whole /eval/first/pass_at_1 $at)
    holds "($shown - 100 * $found) ^ 2 < 0.0001" "pass@1 of eval $shown %, in row $at $found"
done

# No bit of the training depends on it: neither on evaluating at all nor on how.
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/without" run.steps=7 checkpoint.keep=9 checkpoint.every=2 || fail "without: $(cat err)"
same_rollouts without whole
cmp without/model/model.safetensors whole/model/model.safetensors || fail "evaluations change the model"
same without/checkpoints/step-000004.h5 whole/checkpoints/step-000004.h5 /provenance /manifest /settings
metrics_of without >metrics.a
metrics_of whole >metrics.b
cmp metrics.a metrics.b || fail "evaluations change the metrics"
good 3 ranks checkpoint.every=2 eval.answers_in_flight=3 parallel.shard=true
same_run whole ranks
same_rollouts whole ranks

# Killed at a call that writes diagnostics.h5 or at a rename, and continued on other ranks.
FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=0 KILL_EVENT=call KILL_PATH=diagnostics.h5\$ KILL_AT=0 KILL_ACTION=list KILL_REPORT=$work/calls good 1 listed \
    checkpoint.every=2
all=$(sed -n 's/^seen \([0-9]*\) .*/\1/p' calls)
[ "$all" -gt 100 ] || fail "only $all calls change diagnostics.h5"
same_run whole listed
n=0
for at in 4 $((all * 9 / 20)) $((all - 40)) $((all - 12)) $((all - 2)); do
    n=$((n + 1))
    : >hits
    FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=0 KILL_EVENT=call KILL_PATH=diagnostics.h5\$ KILL_AT=$at KILL_ACTION=kill KILL_REPORT=$work/hits run \
        $((n % 2 + 1)) killed checkpoint.every=2
    grep -q '^hit' hits || fail "kill at call $at: nothing happened"
    good $((n % 3 + 1)) killed checkpoint.every=2
    same_run whole killed
    same_rollouts whole killed
    rm -rf killed
done

# An evaluation that is in the file is not made again, one of a step that is taken back is.
cp -r whole again
rm again/checkpoints/step-000007.h5
good 2 again checkpoint.every=2
[ "$(grep -c 'eval: step = 6' again/log.txt)" = 2 ] || fail "the evaluation at step 6 is made $(($(grep -c 'eval: step = 6' again/log.txt) / 2)) times"
[ "$(grep -c 'eval: step = 7' again/log.txt)" = 4 ] || fail "the evaluation at step 7 is not made again"
same_run whole again

# Asked to stop while it evaluates after step 3: a checkpoint of that step, and the evaluation comes again.
rm -f err.pids
export FAULT_LIBRARY="$SYSTEM_KILL" KILL_RANK=0 KILL_EVENT=evaluation KILL_STEP=3 KILL_AT=1 KILL_LAST=1000000 KILL_ACTION=slow KILL_MS=100 \
    KILL_REPORT=$work/slowed
rm -f slowed
run 1 stopped checkpoint.every=2 &
job=$!
for _ in $(seq 2400); do
    [ ! -s slowed ] || break
    sleep 0.05
done
kill -USR1 "$(head -n 1 err.pids)"
wait $job
have=$?
unset FAULT_LIBRARY KILL_RANK KILL_EVENT KILL_STEP KILL_AT KILL_LAST KILL_ACTION KILL_MS KILL_REPORT
[ $have = 85 ] || fail "stopped: exit status $have: $(tail -n 3 err)"
grep -q 'stopping after step 3, asked by SIGUSR1; the evaluation that was at work is given up, and will be made again' stopped/log.txt ||
    fail "stopped: the log says $(tail -n 4 stopped/log.txt)"
[ -f stopped/checkpoints/step-000003.h5 ] || fail "stopped: no checkpoint of step 3"
[ "$(value stopped /eval/first/step 1)" = nan ] || fail "stopped: half an evaluation is recorded"
good 2 stopped checkpoint.every=2
same_run whole stopped

# The best checkpoint by an evaluation is made where it comes, and stays beside the newest.
good 1 best checkpoint.keep=1 checkpoint.best=-eval/first/mean_length checkpoint.every=0 checkpoint.every_s=0
# shellcheck disable=SC2046
set -- $(column best first mean_length)
least=$(awk -v a="$2" -v b="$3" -v c="$4" 'BEGIN { print a <= b && a <= c ? 3 : b <= c ? 6 : 7 }')
[ -f "best/checkpoints/step-00000$least.h5" ] || fail "mean lengths $*: the shortest, of step $least, is not among $(ls best/checkpoints)"
[ -f best/checkpoints/step-000007.h5 ] || fail "the newest is not among $(ls best/checkpoints)"
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/none" checkpoint.best=eval/first/pass_at_1 && fail "a best without evaluations"
ours | grep -q 'checkpoint.best = eval/first/pass_at_1 is no metric' || fail "no sentence: $(cat err)"

# Other problems are another curve: a run that goes on refuses them.
run 1 whole checkpoint.every=2 run.steps=9 eval.samples=3 && fail "another number of samples goes on"
ours | grep -q 'eval.samples is 3, was 2; these may not change' || fail "no sentence: $(ours | tail -n 1)"
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/none" eval.every=3 "eval.sets=( { name = \"x\"; path = \"none.jsonl\"; prompt = \"q\"; answer = \"a\"; } )" &&
    fail "problems that are not there"
ours | grep -q 'none.jsonl' || fail "no sentence: $(cat err)"
[ ! -e none ] || fail "a refused run leaves $(ls none)"
finish
