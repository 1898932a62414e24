#!/bin/sh
# rows.sh: rows that cannot be used end a run or are left out, as asked; answers of sft end as the chat form ends a turn.
. "$(dirname "$0")/lib.sh"
says() {
    grep -qF -- "$2" "$1" || fail "$1 does not say '$2': $(cat "$1")"
}
source_of() {
    printf 'data.train=({path="%s";prompt="question";answer="answer";where="%s";})' "$work/$1" "$2"
}
settings="run.steps=2 run.method=sft rollout.prompts_per_step=4"

# The first six rows, behind a byte order mark, and five that cannot be used or are too long.
{
    printf '\357\273\277'
    head -n 6 "$SYSTEM_WORK/sums.jsonl"
    echo '{"question": "1+1="}'
    echo '{"question": 5, "answer": "6"}'
    echo '{"question": "torn'
    echo '{"question": NaN, "answer": "6", "other": 1}'
    awk 'BEGIN { printf "{\"other\": NaN, \"question\": \"1\", \"answer\": \""; for (i = 0; i < 200; i++) printf "1"; print "\"}" }'
} >rows.jsonl
head -n 6 "$SYSTEM_WORK/sums.jsonl" >good.jsonl

job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/error" $settings "$(source_of rows.jsonl "")"
[ $? = 2 ] || fail "a bad row is no error"
says err "rows.jsonl:7: the row has no field \"answer\""

# Left out, the run is that of the good rows alone, on one rank and on two.
train 1 good $settings "$(source_of good.jsonl "")"
for ranks in 1 2; do
    train $ranks skip$ranks $settings data.bad_rows=skip "$(source_of rows.jsonl "")"
    says skip$ranks/log.txt "rows.jsonl:7: the row has no field \"answer\""
    says skip$ranks/log.txt "rows.jsonl:8: field \"question\" is not a text"
    says skip$ranks/log.txt "rows.jsonl:9: not valid JSON"
    says skip$ranks/log.txt "4 of 11 rows are bad and left out"
    says skip$ranks/log.txt "1 of 7 prompts are left out as too long"
    says skip$ranks/log.txt "the run takes 8 prompts and there are 6"
    grep -q "rows.jsonl:10" skip$ranks/log.txt && fail "a fourth bad row is named"
    same_numbers good skip$ranks
done

# The filter counts tokens, with the answer: the same six rows.
train 1 tokens $settings "$(source_of rows.jsonl "has(answer) && tokens < 100")" data.bad_rows=skip
same_numbers good tokens
grep -q "too long" tokens/log.txt && fail "a row is too long although the filter left it out"

# The end of an answer: ChatML's <|im_end|> (258), whatever the model's first stop id, and what prompt.answer_end says.
last_ids() {
    "$SYSTEM_TOOL" rows "$1/rollouts/step-000001.h5" /answer/token_ids /answer/offsets | awk '{ print $NF }' | sort -u | tr '\n' ' '
}
train 1 chatml $settings "$(source_of good.jsonl "")" prompt.chat=chatml
[ "$(last_ids chatml)" = "258 " ] || fail "ChatML's answers end with $(last_ids chatml), expected 258"
says chatml/log.txt "answers end with token 258"
train 1 wanted $settings "$(source_of good.jsonl "")" prompt.chat=chatml 'prompt.answer_end="<|endoftext|>"'
[ "$(last_ids wanted)" = "256 " ] || fail "answers end with $(last_ids wanted), expected 256"
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/none" $settings "$(source_of good.jsonl "")" 'prompt.answer_end="the end"'
[ $? = 2 ] || fail "an answer's end that is no token is no error"
says err 'prompt.answer_end = "the end" is no token of the model'
finish
