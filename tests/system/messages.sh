#!/bin/sh
# messages.sh: rows with conversations. Of one answer each they train as the same rows with prompt and answer do; with several
# answers the run is the same on one rank and on two, and its rollouts say which tokens are whose; rl and generate continue them.
. "$(dirname "$0")/lib.sh"
says() {
    grep -qF -- "$2" "$1" || fail "$1 does not say '$2': $(cat "$1")"
}
ids() {
    "$SYSTEM_TOOL" rows "$1/rollouts/step-000001.h5" "$2" "$3"
}
equal() {
    [ "$1" = "$2" ] || fail "$3: $1, expected $2"
}

# The sums as conversations, as datasets writes them; the same as pairs. Then with a second question, and with a system turn.
talk='{"id": 1, "tools": null, "talk": [{"role": "user", "content": "\1", "tool_calls": null}, {"role": "assistant", "content": "\2", "tool_calls": null}'
sums=$SYSTEM_WORK/sums.jsonl
pattern='.*"question": "\([^"]*\)".*"answer": "\([^"]*\)".*'
sed "s/$pattern/$talk]}/" "$sums" >one.jsonl
sed "s/$pattern/$talk, {\"role\": \"user\", \"content\": \"Twice?\"}, {\"role\": \"assistant\", \"content\": \"\2\2\"}], \"gold\": \"\2\"}/" "$sums" >two.jsonl
sed 's/"talk": \[/&{"role": "system", "content": "Add."}, /' one.jsonl >own.jsonl

settings="run.steps=2 run.method=sft rollout.prompts_per_step=4 prompt.chat=chatml"
source_of() {
    printf 'data.train=({path="%s";messages="talk";%s})' "$work/$1" "${2:-}"
}

for chat in chatml llama3 qwen3; do
    train 1 pairs $settings "prompt.chat=$chat" 'prompt.answer_end="<|im_end|>"'
    train 1 talks $settings "prompt.chat=$chat" 'prompt.answer_end="<|im_end|>"' "$(source_of one.jsonl)"
    same_numbers pairs talks
    same_rollouts pairs talks
    cmp pairs/model/model.safetensors talks/model/model.safetensors || fail "conversations train another model than pairs"
    rm -r pairs talks
done

# Two answers: the taught tokens, all tokens, and where the turns are in them.
for ranks in 1 2; do
    train $ranks two$ranks $settings data.shuffle=false "$(source_of two.jsonl)"
done
same_numbers two1 two2
same_rollouts two1 two2
row=$(head -n 1 two.jsonl | sed 's/"talk"/"messages"/; s/}$/, "generation_prompt": false}/')
all=$(printf '%s\n' "$row" | "$GRADUS" tokenize --model "$SYSTEM_WORK/qwen2" --chat chatml)
equal "$(ids two1 /prompt/token_ids /prompt/offsets | head -n 1) $(ids two1 /answer/sequence_ids /answer/sequence_offsets | head -n 1) 10" \
    "$all" "prompt and sequence, and the newline behind the last turn"
equal "$(ids two1 /answer/token_ids /answer/offsets | head -n 1)" "48 258 48 48 258" "the taught tokens"
begins=$(ids two1 /answer/turn_begin /answer/turn_offsets | head -n 1)
ends=$(ids two1 /answer/turn_end /answer/turn_offsets | head -n 1)
equal "${begins%% *} ${ends%% *}" "0 2" "the first turn"
equal "$("$GRADUS" inspect --answers 1 two1/rollouts/step-000001.h5 | grep '^answer')" "answer, the 2 turns of a conversation joined: 000" "what inspect shows of it"
holds "$(value two1 /step/completions/mean_length 0) == 5" "an answer's length is that of its taught tokens"

# The row's own system turn stands, and the log says so once; a template is for prompts.
train 1 own $settings data.shuffle=false 'prompt.system="Multiply."' 'prompt.template="? {prompt}"' "$(source_of own.jsonl)"
says own/log.txt "64 conversations begin with a system turn of their own, which stands in place of prompt.system"
says own/log.txt "prompt.template is for rows with a prompt: messages stay as they are"
system=$(printf '{"messages": [{"role": "system", "content": "Add."}, {"role": "user", "content": "0+0="}]}\n' |
    "$GRADUS" tokenize --model "$SYSTEM_WORK/qwen2" --chat chatml)
equal "$(ids own /prompt/token_ids /prompt/offsets | head -n 1)" "$system" "the prompt with the row's system turn"

# Bad rows, rows that are too long, and where; the reference of rl is the answer field, or the turn at the end.
{
    head -n 6 two.jsonl
    echo '{"talk": [{"role": "user", "content": "1"}, {"role": "tool", "content": "2"}]}'
    echo '{"talk": [{"role": "user", "content": "1"}]}'
    awk 'BEGIN { printf "{\"talk\": [{\"role\": \"user\", \"content\": \"1\"}, {\"role\": \"assistant\", \"content\": \""
                 for (i = 0; i < 200; i++) printf "1"; print "\"}]}" }'
} >bad.jsonl
head -n 6 two.jsonl >good.jsonl
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/error" $settings "$(source_of bad.jsonl)"
[ $? = 2 ] || fail "a bad row is no error"
says err 'bad.jsonl:7: talk[1] has the role "tool"; system, user and assistant are known'
train 1 good $settings "$(source_of good.jsonl)"
train 1 skip $settings data.bad_rows=skip "$(source_of bad.jsonl)"
same_numbers good skip
says skip/log.txt "bad.jsonl:8: the conversation has no assistant's turn to learn from"
says skip/log.txt "1 of 8 prompts are left out as too long"
train 1 where $settings data.bad_rows=skip "$(source_of bad.jsonl 'where="has(gold) && tokens < 120";')"
same_numbers good where

rl="run.steps=1 rollout.prompts_per_step=4 prompt.chat=chatml data.shuffle=false rollout.max_new_tokens=8"
train 1 last $rl "$(source_of two.jsonl)"
train 1 gold $rl "$(source_of two.jsonl 'answer="gold";')"
references() {
    ids "$1" /prompt/reference /prompt/reference_offsets | sed -n 1p
}
equal "$(references last)" "00" "the turn at the end as reference"
equal "$(references gold)" "0" "the answer field as reference"
ask=$(head -n 1 two.jsonl | sed 's/"talk"/"messages"/; s/, {"role": "assistant", "content": "00"}//' | "$GRADUS" tokenize --model "$SYSTEM_WORK/qwen2" --chat chatml)
equal "$(ids last /prompt/token_ids /prompt/offsets | head -n 1)" "$ask" "the prompt of rl"

# Generate continues the same conversations, and keeps the line.
head -n 2 two.jsonl >lines
job 1 generate "$SYSTEM_WORK/input.cfg" --input lines --output answers.jsonl $rl "$(source_of two.jsonl)" rollout.temperature=0 || fail "generate: $(cat err)"
equal "$(grep -c '"talk":.*"completions":.*"reward":' answers.jsonl)" 2 "lines with completions and rewards"

# What cannot be.
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/none" $settings prompt.chat=none "$(source_of one.jsonl)"
[ $? = 2 ] || fail "messages without a chat form are no error"
says err 'messages have no place in prompt.chat = "none"'
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/both" $settings "$(source_of one.jsonl 'prompt="question";')"
[ $? = 2 ] || fail "prompt and messages are no error"
says err "data.train[0] gives prompt and messages"
finish
