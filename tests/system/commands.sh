#!/bin/sh
# commands.sh: tokenize, score and bench, as a user runs them.
. "$(dirname "$0")/lib.sh"
model=$SYSTEM_WORK/qwen2

# says COMMAND-LINE INPUT EXPECTED: what tokenize makes of the input.
says() {
    # shellcheck disable=SC2086
    have=$(printf "$2" | "$GRADUS" tokenize --model "$model" $1 2>err) || fail "tokenize $1: $(cat err)"
    [ "$have" = "$(printf "$3")" ] || fail "tokenize $1 of '$2': '$have', expected '$(printf "$3")'"
}
says "" 'ab\n\nc' '97 98\n\n99'
says "" 'a\377b' '97 239 191 189 98'
says "" '1<|im_end|>2' '49 258 50'
says --json '"a\\nb"\n\n"\\u00e9"' '97 10 98\n\n195 169'
says --decode '97 98 258\n\n99' 'ab<|im_end|>\n\nc'
says "--decode --json" '97 10 98' '"a\\nb"'
says "--chat chatml" '{"messages": [{"role": "user", "content": "x"}], "generation_prompt": false}' \
    '257 117 115 101 114 10 120 258 10'
refused() {
    # shellcheck disable=SC2086
    printf "$2" | "$GRADUS" tokenize --model "$model" $1 >out 2>err
    [ $? = 2 ] || fail "tokenize $1 of '$2' is not refused"
    grep -q "$3" err || fail "tokenize $1 of '$2' does not say '$3': $(cat err)"
    [ ! -s out ] || fail "tokenize $1 of '$2' writes something"
}
refused --decode '97\n259' ':2: '
refused --decode '97 x' ':1: "x"'
refused --json '"a"\n5' ':2: '
refused "--chat chatml" '{"role": "user"}' ':1: '

# score: the three forms of a line are one text; how lines are packed changes nothing; the first token has no number.
cat >lines.jsonl <<'END_OF_LINES'
{"text": "1+2=<think>"}
{"token_ids": [49, 43, 50, 61, 60, 116, 104, 105, 110, 107, 62]}
{"prompt": "1+2=", "answer": "<think>"}
{"text": "1"}
END_OF_LINES
for packed in 1 7 4096; do
    job 1 score --model "$model" --input lines.jsonl --output scores-$packed.h5 --tokens-per-pass $packed || fail "score: $(cat err)"
    same scores-1.h5 scores-$packed.h5 /provenance
done
for path in /logprob /entropy; do
    "$SYSTEM_TOOL" rows scores-1.h5 $path /offsets >rows
    [ "$(sed -n 1,3p rows | sort -u | wc -l)" = 1 ] || fail "score: $path of the three forms differs: $(cat rows)"
    [ "$(sed -n 4p rows | tr -d -)" = nan ] || fail "score: $path of a first token is $(sed -n 4p rows)"
    [ "$(sed -n 1p rows | wc -w)" = 11 ] || fail "score: $path has not a number for each token"
    sed -n 1p rows | cut -d' ' -f2- | awk -v path=$path '{ for (i = 1; i <= NF; i++) if (path == "/logprob" ? $i > 0 : $i < 0) exit 1 }' ||
        fail "score: $path has the wrong sign: $(sed -n 1p rows)"
done

# bench: a figure with a share of its ceiling for each thing it times.
job 1 init --arch qwen2 --layers 1 --width 32 --heads 2 --mlp 32 --max-positions 256 --output long || fail "init: $(cat err)"
for what in gemm head distill decode step grpo; do
    job 1 bench $what --model long --threads 1 --seconds 0.01 || fail "bench $what: $(cat err)"
    [ "$(grep -c '%' out)" -ge 1 ] || fail "bench $what tells no share of a ceiling: $(cat out)"
    grep -qE 'nan|inf' out && fail "bench $what: a figure is not a number: $(cat out)"
    mv out bench-$what
done
job 1 bench --model long --threads 1 --seconds 0.01 || fail "bench: $(cat err)"
[ "$(wc -l <out)" -gt "$(wc -l <bench-gemm)" ] || fail "bench without a word does not time everything"
job 2 bench reduce --model long --threads 1 --seconds 0.01 || fail "bench reduce: $(cat err)"
for sum in "exact: sum of the whole" "fast: sum of the whole" "sharded: pieces" "sharded, fast: pieces" "parameters to all"; do
    grep -q "$sum .* ms .* GB/s a rank .* % of the copy" out || fail "bench reduce does not tell of '$sum': $(cat out)"
done
[ "$(grep -c "% of the time without sums, .* ms hidden" out)" = 2 ] || fail "bench reduce does not tell what is hidden: $(cat out)"
[ "$(grep -c "% of the time without sums" out)" = 6 ] || fail "bench reduce does not tell what sums add to a gradient: $(cat out)"
job 1 bench step --model "$model"
[ $? = 2 ] && grep -q "bench step times 228 positions, but the model has 128" err || fail "bench step of a short model: $(cat err)"
job 1 bench nothing
[ $? = 1 ] || fail "bench nothing is not wrong usage"
finish
