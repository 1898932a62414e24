#!/bin/sh
# benchmarks.sh ROOT GRADUS: each paper's input holds its evaluation, of the benchmarks that the table in input/README says, under the
# names of the data; where these are beside the project, all their problems are read, and a tiny model answers the first of each.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
all="gsm8k math500 aime24 amc23 minerva_math olympiadbench"

# folders FILE: those of its data, in their order.
folders() {
    "$gradus" params eval.sets --input "$1" | grep -o '/data/[a-z0-9_]*/test\.jsonl' | sed 's|/data/||; s|/test.jsonl||' | xargs
}

# expect FILE SAMPLES FOLDERS
expect() {
    file=$root/input/$1.cfg
    have=$(folders "$file")
    [ "$have" = "$3" ] || fail "$1: evaluates $have, not $3"
    [ "$("$gradus" params eval.samples --input "$file")" = "$2" ] || fail "$1: not $2 samples"
}
expect paper_gates 16 "gsm8k math500"
expect paper_gxpo 16 "$all"
expect paper_gxpo_grpo 16 "$all"
expect paper_sfpo 4 "$all"
expect paper_opsd_grpo 16 "aime24 amc23 math500 minerva_math olympiadbench"
expect paper_opsd_sft 16 "aime24 amc23 math500 minerva_math olympiadbench"
[ "$("$gradus" params eval.max_new_tokens --input "$root/input/paper_opsd_grpo.cfg")" = 38912 ] || fail "OPSD: not 38912 tokens"
for line in $(grep -o 'gradus eval paper_[a-z_]*\.cfg' "$root/input/README" | sed 's/gradus eval //' | sort -u); do
    [ -f "$root/input/$line" ] || fail "input/README evaluates with $line, which is not there"
done

data=$root/../shared/data
if [ ! -d "$data" ]; then
    [ $failures != 0 ] || { echo "skipped: ../shared/data is not here"; exit 77; }
    finish
fi
tiny_model --max-positions 8192
sets=
for folder in $all; do
    [ "$folder" = gsm8k ] && field=question || field=problem
    sets="$sets${sets:+, }{ name = \"$folder\"; path = \"$data/$folder/test.jsonl\"; prompt = \"$field\"; answer = \"answer\"; limit = 1; }"
done
"$gradus" eval "$root/input/paper_gxpo.cfg" model.path="$work/model" model.precision=fp32 run.directory="$work/run" eval.sets="( $sets )" \
    eval.samples=2 eval.pass_at='[1]' eval.max_new_tokens=3 prompt.chat=none prompt.template='{prompt}' 'prompt.system=""' >out 2>err ||
    fail "gradus eval: $(tail -n 2 err)"
for folder in $all; do
    grep -q "^$folder  *1  *2 " out || fail "no figures of $folder: $(cat out)"
done
finish
