#!/bin/sh
# verify.sh CASE: gradus verify makes its runs, says in a table which are equal, and leaves nothing behind but what differs.
#   holds: on one rank and on three all are equal; what it cannot try it says
#   fails: each claim in turn is broken by a library that turns one bit of one number of one run, and is named; exit status 70
. "$(dirname "$0")/lib.sh"

# holds_line TEXT RESULT [DETAIL]: the table has that line.
holds_line() {
    grep -qE "^$1 +$2 *( .*${3:-}.*)?$" out || fail "the table does not say that $1: $2 ${3:-}: $(cat out)"
}

# verify RANKS EXIT INPUT WORD...
verify() {
    ranks=$1 expected=$2 input=$3
    shift 3
    job "$ranks" verify "$SYSTEM_WORK/$input" run.directory="$work/run" "$@"
    have=$?
    [ $have = "$expected" ] || fail "verify $input $* on $ranks ranks ends with $have: $(ours | tail -n 2)"
    [ -z "$(find "$work" -maxdepth 1 -name 'run*')" ] || fail "verify leaves $(find "$work" -name 'run*' | head -n 3)"
}

# broken RANKS CLAIM RUN DETAIL: the bit is one of that run. Its files stay, and those that it is compared with.
broken() {
    KILL_PATH=/$3/ && [ "$3" != first ] || KILL_PATH=/first/diagnostics.h5
    export KILL_PATH
    job "$1" verify "$SYSTEM_WORK/input.cfg" run.directory="$work/run"
    have=$?
    [ $have = 70 ] || fail "$3: exit status $have, expected 70: $(ours | tail -n 2)"
    grep -q '^hit' hits || fail "$3: no bit was turned"
    holds_line "$2" FAILS "$4"
    [ "$(grep -c FAILS out)" = 1 ] && [ "$(wc -l <out)" = 5 ] || fail "$3: other claims fail too, or are missing: $(cat out)"
    grep -q "^gradus: error: on this machine it does not hold that $2: .*$4" err || fail "$3: does not say so but: $(ours)"
    [ -f run.verify/first/checkpoints/step-000002.h5 ] && [ -f "run.verify/$3/checkpoints/step-000002.h5" ] ||
        fail "$3: what was compared is gone: $(find run.verify)"
    rm -rf run.verify hits
}

case $1 in
fails)
    [ -n "${SYSTEM_KILL:-}" ] && [ -f "$SYSTEM_KILL" ] || { echo "skipped: no library to preload in this build"; exit 77; }
    export FAULT_LIBRARY="$SYSTEM_KILL" KILL_RANK=0 KILL_EVENT=piece KILL_AT=1 KILL_ACTION=flip KILL_REPORT="$work/hits"
    broken 1 "two runs are equal" again "/.* differs first: the runs first and again are in .*run.verify"
    broken 1 "a restart changes nothing" restarted "differs first: the runs first and restarted are in"
    broken 1 "the number of threads does not matter" threads "differs first: the runs first and threads are in"
    broken 2 "the number of ranks does not matter" fewer-lower "differs first: the runs first and fewer-lower are in"
    export KILL_EVENT=call KILL_LAST=1000000
    broken 1 "sampler and trainer agree" first "largest difference of a log-probability"
    finish
    ;;
esac

verify 1 0 input.cfg
holds_line "two runs are equal" holds
holds_line "a restart changes nothing" holds "after step 1"
holds_line "the number of threads does not matter" holds "threads = 2"
holds_line "the number of ranks does not matter" "not tried" "one rank"
holds_line "sampler and trainer agree" holds "difference of a log-probability 0"

verify 1 0 sft.cfg model.path="$SYSTEM_WORK/qwen2" optimizer.warmup_steps=0
holds_line "sampler and trainer agree" "not tried" "nothing is sampled"

verify 3 0 input.cfg --steps 3 parallel.threads=2 update.iterations=2 run.steps=7
holds_line "a restart changes nothing" holds "after step 1"
holds_line "the number of threads does not matter" holds "threads = 1"
holds_line "the number of ranks does not matter" holds "2 ranks and 1 ranks beside 3"

job 1 verify "$SYSTEM_WORK/input.cfg" run.directory="$work/run" --steps 1
have=$?
[ $have = 1 ] || fail "--steps 1 ends with $have"
job 2 verify "$work/none.cfg"
have=$?
[ $have = 2 ] || fail "a missing file ends with $have"
finish
