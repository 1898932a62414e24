#!/bin/sh
# tokens.sh: tags that a model does not have become tokens of it: the same bits on any number of ranks and after a restart; what
# is saved has them, and a run on it is one without the parameter; an adapter needs a model that has them.
. "$(dirname "$0")/lib.sh"
tags='model.added_tokens=["<think>","</think>","<answer>","</answer>"]'
sft="$SYSTEM_WORK/sft.cfg"

# teach RANKS RUN SETTING...
teach() {
    ranks=$1
    run=$2
    shift 2
    job "$ranks" train "$sft" model.path="$SYSTEM_WORK/qwen2-start" run.directory="$work/$run" "$tags" "$@" ||
        fail "sft in $run on $ranks ranks: $(ours)"
}

kept="checkpoint.every=3 checkpoint.keep=9 optimizer.schedule=constant optimizer.warmup_steps=0"

# Five steps, and three on other ranks continued on others.
# shellcheck disable=SC2086
for ranks in 1 2 3; do
    teach $ranks run$ranks run.steps=5 $kept
done
# shellcheck disable=SC2086
teach 3 continued run.steps=3 $kept
# shellcheck disable=SC2086
teach 2 continued run.steps=5 $kept
for run in run2 run3 continued; do
    same run1/checkpoints/step-000005.h5 $run/checkpoints/step-000005.h5 /provenance /manifest /settings
    same_numbers run1 $run
    for file in run1/model/*.safetensors run1/model/tokenizer.json run1/model/config.json; do
        cmp "$file" "$run/model/$(basename "$file")" || fail "$file of run1 and $run differ"
    done
done

# 259 rows become 264; the tags are the four ids behind the tokenizer's own, and a checkpoint knows it.
grep -q '"vocab_size": 264' run1/model/config.json || fail "config.json: $(grep vocab_size run1/model/config.json)"
job 1 export run1/checkpoints/step-000005.h5 --output exported || fail "export: $(ours)"
for file in model.safetensors tokenizer.json config.json; do
    cmp "run1/model/$file" "exported/$file" || fail "export writes another $file"
done
text='<think>7</think><answer>3</answer>'
ids=$(echo "$text" | "$GRADUS" tokenize --model exported)
[ "$ids" = "259 55 260 261 51 262" ] || fail "the tags are the ids $ids"
[ "$(echo "$ids" | "$GRADUS" tokenize --model exported --decode)" = "$text" ] || fail "they do not decode to the text"
[ "$(echo "$text" | "$GRADUS" tokenize --model "$SYSTEM_WORK/qwen2-start" | wc -w)" = 34 ] || fail "the model had the tags before"

# A model that has learned them writes them as tokens, and the rewards see them in the text.
teach 1 taught
before=$(value taught /step/loss 0)
after=$(value taught /step/loss 99)
holds "$after < 0.2 * $before" "the loss of sft with tags as tokens"
for run in with without; do
    [ $run = without ] && words= || words=$tags
    # shellcheck disable=SC2086
    train 2 $run run.steps=1 model.path="$work/taught/model" $words
done
same_rollouts with without
holds "$(value with /step/rewards/format/mean) > 0" "the form of answers in tags that are tokens"
holds "$(value with /step/completions/mean_length) < 30" "the length of such answers, which have 34 bytes"
cmp with/model/tokenizer.json taught/model/tokenizer.json || fail "known tokens change the tokenizer"
job 1 generate "$SYSTEM_WORK/input.cfg" model.path="$work/taught/model" --input "$SYSTEM_WORK/sums.jsonl" --output answers.jsonl ||
    fail "generate: $(ours)"
grep -q '"text":"<think>' answers.jsonl || fail "no answer begins with a tag: $(head -c 300 answers.jsonl)"

# So do its benchmarks: as many samples as asked for, whose texts begin with a tag.
job 1 eval "$SYSTEM_WORK/input.cfg" model.path="$work/taught/model" run.directory="$work/judged" eval.samples=2 eval.pass_at='[1]' \
    "eval.sets=( { name = \"sums\"; path = \"$SYSTEM_WORK/sums.jsonl\"; prompt = \"question\"; answer = \"answer\"; limit = 4; } )" ||
    fail "eval: $(ours)"
grep -aq '<think>' judged/eval.h5 || fail "no sample begins with a tag: $(cat out)"

# Adapters.
lora="lora.rank=2 lora.alpha=4"
# shellcheck disable=SC2086
job 1 train "$sft" model.path="$SYSTEM_WORK/qwen2-start" run.directory="$work/refused" "$tags" $lora
[ $? = 2 ] || fail "an adapter beside tokens without rows is not refused"
grep -q 'model.added_tokens holds 4 tokens that the model in .* does not have, and an adapter holds no rows for them' err ||
    fail "refused: $(ours)"
# shellcheck disable=SC2086
job 1 train "$sft" model.path="$work/taught/model" run.directory="$work/adapter" run.steps=1 optimizer.warmup_steps=0 "$tags" $lora ||
    fail "an adapter of the model with the tokens: $(ours)"
job 1 plan "$sft" model.path="$SYSTEM_WORK/qwen2-start" run.directory="$work/planned" "$tags" || fail "plan: $(ours)"
finish
