#!/bin/sh
# verify.sh: gradus verify makes its runs on one rank and on three, finds them equal, says so in a table, and leaves nothing
# behind; what it cannot try it says.
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
