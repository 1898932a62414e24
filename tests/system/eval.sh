#!/bin/sh
# eval.sh CASE: gradus eval.
#   bits: the same samples on 1, 2 and 3 ranks, with any number in flight, with a limit or without, as gradus generate draws them
#   kill: killed while it writes what it has drawn, and stopped, it goes on on other ranks to the bits of one that never was
#   refusals: what belongs to another evaluation, or is damaged, is told and not mixed in
. "$(dirname "$0")/lib.sh"
set="name = \"sums\"; path = \"$SYSTEM_WORK/sums.jsonl\"; prompt = \"question\"; answer = \"answer\";"
few="eval.sets=( { $set limit = 9; }, { $(echo "$set" | sed 's/"sums"/"by-rule"/') rule = \"answer\"; where = \"has(worked)\"; limit = 4; } )"

# eval RANKS DIRECTORY SETTING...: eval of input.cfg, of $few unless the settings say otherwise.
evaluate() {
    ranks=$1
    run=$2
    shift 2
    job "$ranks" eval "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" eval.samples=5 eval.pass_at='[1,2,5]' "$few" "$@"
}

good() {
    evaluate "$@" || fail "eval $*: exit status $?, $(tail -n 3 err)"
    cp out "$2.table"
}

# refused STATUS WORDS ARGUMENT...: eval ends with this status and one sentence that holds the words.
refused() {
    status=$1
    words=$2
    shift 2
    evaluate "$@"
    got=$?
    [ $got = "$status" ] || fail "eval $*: exit status $got, not $status: $(ours | tail -n 1)"
    ours | grep '^gradus: error: ' | grep -qF "$words" || fail "eval $*: no sentence with '$words': $(ours | tail -n 2)"
}

ids() {
    "$SYSTEM_TOOL" rows "$1" "/set/$2/token_ids" "/set/$2/offsets"
}

bits() {
    good 1 one
    good 2 two
    good 3 three eval.answers_in_flight=1
    good 1 flight eval.answers_in_flight=7 parallel.threads=2 run.seed=9 rollout.prompts_per_step=3
    for run in two three flight; do
        same one/eval.h5 $run/eval.h5 /provenance
        cmp one.table $run.table || fail "$run: another table"
    done
    [ "$(ls one)" = eval.h5 ] || fail "beside the results stays $(ls one)"
    good 1 seed eval.seed=4
    differ one/eval.h5 seed/eval.h5 /provenance /identity
    # A limit takes the first rows, and changes no sample of them; nor does another set beside it.
    good 2 whole "eval.sets=( { $set } )"
    [ "$(ids whole/eval.h5 sums | wc -l)" = 320 ] || fail "not all rows without a limit"
    [ "$(ids whole/eval.h5 sums | head -n 45)" = "$(ids one/eval.h5 sums)" ] || fail "a limit changes samples"
    # Problems that stand twice are no more problems.
    grep -q 'problems repeat' err && fail "problems that differ are said to repeat: $(ours)"
    { head -n 6 "$SYSTEM_WORK/sums.jsonl" && head -n 2 "$SYSTEM_WORK/sums.jsonl" && head -n 1 "$SYSTEM_WORK/sums.jsonl"; } >twice.jsonl
    good 1 twice "eval.sets=( { $(echo "$set" | sed "s|path = [^;]*|path = \"$work/twice.jsonl\"|") } )"
    ours | grep -q 'twice.jsonl: warning: 3 of 9 problems repeat an earlier one' || fail "repeated problems: $(ours)"
    # gradus generate draws the same: its prompts count from 0 as the rows do.
    job 1 generate "$SYSTEM_WORK/input.cfg" --input "$SYSTEM_WORK/sums.jsonl" --output drawn.jsonl rollout.group_size=5 || fail "generate: $(cat err)"
    sed 's/"token_ids":\[\([0-9,]*\)\]/\n@\1\n/g' drawn.jsonl | sed -n 's/^@//p' | tr ',' ' ' >generated
    ids whole/eval.h5 sums >evaluated
    cmp generated evaluated || fail "gradus generate draws other answers"
    # pass@1 of the table is the mean of the verdicts; both rules find right answers.
    good 1 again "eval.sets=( { $set } )" rollout.temperature=0.7
    "$SYSTEM_TOOL" sum again/eval.h5 /set/sums/correct >right
    "$SYSTEM_TOOL" sum again/eval.h5 /set/sums/problem/right >right.problems
    cmp right right.problems || fail "right samples and those of problems: $(cat right right.problems)"
    holds "$(cat right) > 3 && $(cat right) < 317" "right samples"
    shown=$(awk '$1 == "sums" { print $4 }' again.table)
    holds "($shown - 100 * $(cat right) / 320) ^ 2 < 0.0001" "pass@1 of the table, $shown %"
    # Told again without computing; with another k from the same samples.
    good 1 again "eval.sets=( { $set } )" rollout.temperature=0.7 eval.pass_at='[3]'
    ours | grep -q 'samples = 320, drawn_before = 320' || fail "an evaluation that has ended draws again"
    grep -q 'pass@3' again.table || fail "no pass@3: $(cat again.table)"
    "$GRADUS" inspect --verify again/eval.h5 >said || fail "inspect: $(cat said)"
    grep -q 'sums  *64 problems, 5 samples of each: pass@1 ' said || fail "inspect says $(head -n 3 said)"
    # Which rows, and how they are asked.
    good 1 asked "eval.sets=( { $set where = \"answer == '3'\"; }, { name = \"other\"; path = \"$SYSTEM_WORK/sums.jsonl\"; prompt = \"question\"; answer = \"answer\"; limit = 9; template = \"{prompt} \"; } )"
    [ "$(awk '$1 == "sums" { print $2 }' asked.table)" = 8 ] || fail "where takes other rows: $(cat asked.table)"
    [ "$(ids asked/eval.h5 other)" != "$(ids one/eval.h5 sums)" ] || fail "a template changes nothing"
    # The greedy answer is one and the same in each sample.
    good 1 greedy "eval.temperature=0" eval.samples=2 eval.pass_at='[1]'
    ids greedy/eval.h5 sums | awk 'NR % 2 { first = $0; next } $0 != first { exit 1 }' || fail "greedy samples differ"
}

kills() {
    [ -n "${SYSTEM_KILL:-}" ] && [ -f "$SYSTEM_KILL" ] || { echo "skipped: no library to preload in this build"; exit 77; }
    good 1 whole
    # RANKS CALL ACTION: what happens to a rank at a call that changes its file of samples.
    n=0
    for attempt in '1 3 kill' '1 40 kill' '2 24 kill' '3 11 short' '2 10 enospc' '1 30 short'; do
        # shellcheck disable=SC2086
        set -- $attempt
        n=$((n + 1))
        : >hits
        FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=$(($1 - 1)) KILL_EVENT=call KILL_PATH=eval.samples/rank KILL_AT=$2 KILL_ACTION=$3 \
            KILL_REPORT=$work/hits evaluate "$1" run-$n
        # What one rank cannot write another one learns of; a short write is finished.
        grep -q '^hit' hits || fail "attempt $n ($attempt): nothing happened: $(cat hits)"
        if [ "$3" != short ]; then
            [ ! -e run-$n/eval.h5 ] || fail "attempt $n ($attempt): results in spite of it"
            [ -d run-$n/eval.samples ] || fail "attempt $n ($attempt): no samples are kept"
            good $((n % 3 + 1)) run-$n
            ours | grep -q 'drawn_before = 0,' && [ "$2" -gt 10 ] && fail "attempt $n ($attempt): nothing of it was kept"
        fi
        same whole/eval.h5 run-$n/eval.h5 /provenance
        [ ! -e run-$n/eval.samples ] || fail "attempt $n: the samples stay beside the results"
    done
    # A line that was cut off, and one with a wrong letter, are drawn again.
    FAULT_LIBRARY=$SYSTEM_KILL KILL_RANK=0 KILL_EVENT=call KILL_PATH=eval.samples/rank KILL_AT=60 KILL_ACTION=kill evaluate 1 torn
    file=torn/eval.samples/rank-00000.jsonl
    lines=$(wc -l <$file)
    sed '2s/"sample": ./"sample": 7/' $file | head -c -5 >$file.new && mv $file.new $file
    good 2 torn
    ours | grep -q "drawn_before = $((lines - 2))," || fail "of $lines lines two are broken: $(ours | head -n 2)"
    ours | grep -q "2 of $lines lines are unfinished or damaged" || fail "no warning of broken lines"
    same whole/eval.h5 torn/eval.h5 /provenance
    # Asked to stop it says so, and goes on. Each line takes its time, so that the signal comes in between.
    export FAULT_LIBRARY="$SYSTEM_KILL" KILL_RANK=0 KILL_EVENT=call KILL_PATH=eval.samples/rank KILL_AT=1 KILL_LAST=100000 KILL_ACTION=slow KILL_MS=100
    evaluate 1 stopped &
    job=$!
    for _ in $(seq 1200); do
        [ ! -s stopped/eval.samples/rank-00000.jsonl ] || break
        sleep 0.05
    done
    kill -USR1 "$(head -n 1 err.pids)"
    wait $job
    have=$?
    unset FAULT_LIBRARY KILL_RANK KILL_EVENT KILL_PATH KILL_AT KILL_LAST KILL_ACTION KILL_MS
    [ $have = 85 ] || fail "stopped: exit status $have: $(tail -n 3 err)"
    ours | grep -q 'stopped by SIGUSR1; the samples so far are in .*, and the same command goes on from there' || fail "stopped: it says $(tail -n 3 err)"
    good 2 stopped
    ours | grep -q 'drawn_before = 0,' && fail "stopped: nothing of it was kept"
    same whole/eval.h5 stopped/eval.h5 /provenance
}

refusals() {
    refused 2 "no/such.jsonl" 2 none "eval.sets=( { name = \"x\"; path = \"no/such.jsonl\"; prompt = \"q\"; answer = \"a\"; } )"
    refused 2 'has no field "q"; it has: question, worked, answer' 1 none "eval.sets=( { $(echo "$set" | sed 's/"question"/"q"/') } )"
    refused 2 "the rule 'length' of sums tells no right answers from wrong ones" 1 none "eval.sets=( { $set rule = \"length\"; } )"
    refused 2 "with eval.max_new_tokens = 126 more than the 128 positions of the model" 1 none eval.max_new_tokens=126
    refused 2 "command line: eval.sets is an empty list" 1 none 'eval.sets=()'
    refused 2 "eval.pass_at holds 8" 1 none eval.pass_at='[8]'
    job 1 eval "$SYSTEM_WORK/input.cfg" run.directory=none && fail "eval without sets"
    ours | grep -q 'eval.sets must be given' || fail "no sentence on missing sets: $(cat err)"
    [ ! -e none ] || fail "a refused evaluation leaves $(ls none)"
    good 1 mine
    cp mine/eval.h5 kept.h5
    refused 2 "there 'eval.samples = 5', here 'eval.samples = 6'" 1 mine eval.samples=6
    refused 2 "there 'eval.temperature = 1.0', here 'eval.temperature = 0.5'" 2 mine rollout.temperature=0.5
    refused 2 "is of another evaluation, there 'weights = " 1 mine model.path="$SYSTEM_WORK/qwen2-start"
    refused 2 "limit = 8" 1 mine "eval.sets=( { $set limit = 8; } )"
    sed '1s/0+0/0 + 0/' "$SYSTEM_WORK/sums.jsonl" >other.jsonl
    refused 2 "is of another evaluation, there 'set sums: " 1 mine "eval.sets=( { $(echo "$set" | sed "s|path = [^;]*|path = \"$work/other.jsonl\"|") limit = 9; } )"
    cmp kept.h5 mine/eval.h5 || fail "a refusal changes the results"
    # A file of ours that is damaged, and one that is not ours.
    for at in 100 9000 $(($(wc -c <kept.h5) - 9)); do
        cp kept.h5 mine/eval.h5
        printf '\377' | dd of=mine/eval.h5 bs=1 seek="$at" conv=notrunc 2>dd.err || fail "dd: $(cat dd.err)"
        cmp -s kept.h5 mine/eval.h5 && continue
        refused 2 "where the results go stands a damaged file" 1 mine
    done
    echo hello >mine/eval.h5
    refused 2 "where the results go stands a damaged file" 2 mine
    good 1 mine --fresh
    same kept.h5 mine/eval.h5 /provenance
    # Samples of another evaluation that has not ended.
    mkdir -p begun/eval.samples
    echo 'weights = 0' >begun/eval.samples/identity
    refused 2 "is of another evaluation, there 'weights = 0'" 1 begun
    good 1 begun --fresh
    # Of a checkpoint, and of an adapter: the bits of the model that they make.
    train 1 run checkpoint.every=2 || return
    good 1 model model.path="$work/run/model"
    good 2 checkpoint --checkpoint run/checkpoints/step-000003.h5
    same model/eval.h5 checkpoint/eval.h5 /provenance /identity
    differ mine/eval.h5 model/eval.h5 /provenance /identity
    refused 2 "not a sealed file of gradus" 1 wrong --checkpoint "$SYSTEM_WORK/sums.jsonl"
    train 1 lora lora.rank=2 lora.alpha=4.0
    good 1 adapter lora.adapter="$work/lora/adapter"
    good 1 factors lora.rank=2 lora.alpha=4.0 --checkpoint lora/checkpoints/step-000003.h5
    same adapter/eval.h5 factors/eval.h5 /provenance /identity
    differ mine/eval.h5 adapter/eval.h5 /provenance /identity
}

case ${1:-} in
bits | refusals) "$1" ;;
kill) kills ;;
*) fail "no case '${1:-}'" ;;
esac
finish
