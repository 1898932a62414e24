#!/bin/sh
# budgets.sh: thinking and answers have budgets of their own, and the closing text is forced, marked, and counts in nothing.
. "$(dirname "$0")/lib.sh"
says() {
    grep -qF -- "$2" "$1" || fail "$1 does not say '$2': $(cat "$1")"
}
budgets="rollout.max_new_tokens=60 rollout.think_tokens=15 rollout.answer_tokens=20"
closing='rollout.think_close="</think>\n"'

# The whole of a run with forced answers, computed a second time without the forced tokens: 15 tokens are one too few for what the
# model was taught to think.
train 1 run $budgets "$closing" objective.kl_coef=0.1 objective.aggregation=token_mean
for step in 1 2 3; do
    "$SYSTEM_RECOMPUTE" run $step optimizer.learning_rate=1e-3 data.prompts=64 run.steps=3 update.iterations=2 objective.gate=erf \
        $budgets objective.kl_coef=0.1 objective.aggregation=token_mean >said || fail "step $step: $(cat said)"
    holds "$(value run /step/completions/forced_ratio $((step - 1))) > 0" "answers of step $step are forced"
    holds "$(value run /step/mismatch/logprob_max $((step - 1))) == 0" "sampler and trainer agree in step $step"
    holds "$(value run /step/completions/max_length $((step - 1))) <= 35" "forced tokens do not count in lengths, step $step"
done

# Forced is the closing text, from token 15 on; an answer has at most 20 tokens behind it.
for what in answer/token_ids token/forced; do
    "$SYSTEM_TOOL" rows run/rollouts/step-000001.h5 /$what /answer/offsets >"$(basename $what)"
done
paste -d '|' forced token_ids >both
awk -F '|' '{
    n = split($1, mark, " "); split($2, id, " "); split("60 47 116 104 105 110 107 62 10", want, " ")
    forced = 0
    for (t = 1; t <= n; t++) {
        if (mark[t] && (t < 16 || t > 24 || id[t] != want[t - 15]))
            print "answer " NR ": token " t " is forced and is " id[t]
        forced += mark[t]
    }
    if (forced != 0 && forced != 9)
        print "answer " NR ": " forced " forced tokens"
    if (forced == 9 && (n < 25 || n > 44))
        print "answer " NR ": " n " tokens, forced ones among them"
}' both >wrong
[ ! -s wrong ] || fail "$(cat wrong)"
job 1 inspect run/rollouts/step-000001.h5
says out "forced"

# On any number of ranks, for any number of answers in flight, cut into other microbatches, and after a restart.
for ranks in 2 3; do
    train $ranks run$ranks $budgets "$closing" objective.kl_coef=0.1 objective.aggregation=token_mean rollout.answers_in_flight=$ranks
    same_whole run run$ranks
done
train 1 again $budgets "$closing" objective.kl_coef=0.1 objective.aggregation=token_mean rollout.answers_in_flight=5 checkpoint.every=1 \
    run.steps=1
train 1 again $budgets "$closing" objective.kl_coef=0.1 objective.aggregation=token_mean rollout.answers_in_flight=1 run.steps=3
same_numbers run again
same_rollouts run again

# Completions of generate: the same for any number in flight; a budget that nobody reaches changes nothing.
head -n 4 "$SYSTEM_WORK/sums.jsonl" >some.jsonl
drawn() {
    out=$1
    shift
    job 1 generate "$SYSTEM_WORK/input.cfg" --input some.jsonl --output "$out" rollout.group_size=6 "$@" || fail "generate $*: $(cat err)"
}
drawn all.jsonl $budgets
drawn few.jsonl $budgets rollout.answers_in_flight=2
cmp all.jsonl few.jsonl || fail "completions depend on the number of answers in flight"
says all.jsonl '"finish_reason":"forced","forced":[15,25]'
drawn plain.jsonl
drawn never.jsonl rollout.think_tokens=1000
cmp plain.jsonl never.jsonl || fail "a budget that nobody reaches changes completions"
says err "rollout.think_tokens = 1000 is not below rollout.max_new_tokens = 40"

# gradus eval draws the same, on two ranks too.
set="name = \"sums\"; path = \"$SYSTEM_WORK/sums.jsonl\"; prompt = \"question\"; answer = \"answer\"; limit = 4;"
for ranks in 1 2; do
    job $ranks eval "$SYSTEM_WORK/input.cfg" run.directory="$work/eval$ranks" eval.samples=6 eval.pass_at='[1]' "eval.sets=( { $set } )" \
        $budgets || fail "eval on $ranks ranks: $(cat err)"
done
same eval1/eval.h5 eval2/eval.h5 /provenance
"$SYSTEM_TOOL" rows eval1/eval.h5 /set/sums/token_ids /set/sums/offsets >evaluated
sed 's/"token_ids":\[\([0-9,]*\)\]/\n@\1\n/g' all.jsonl | sed -n 's/^@//p' | tr ',' ' ' >generated
cmp generated evaluated || fail "eval draws other answers than generate"

# What an evaluation has of its own counts there, not what rollouts have.
# evaluated STATUS SENTENCE SETTING...: gradus eval ends so; the sentence is refused or missing.
evaluated() {
    status=$1
    sentence=$2
    shift 2
    job 1 eval "$SYSTEM_WORK/input.cfg" run.directory="$work/own" eval.samples=1 eval.pass_at='[1]' "eval.sets=( { $set } )" "$@"
    have=$?
    [ $have = "$status" ] || fail "eval $*: exit status $have, expected $status: $(cat err)"
    [ -z "$sentence" ] || says err "$sentence"
    rm -rf own
}
evaluated 0 "" rollout.think_tokens=35 eval.max_new_tokens=60
evaluated 2 "eval.max_new_tokens = 40 leaves no room for an answer behind eval.think_tokens = 35 and the 10 tokens of eval.think_close" \
    rollout.max_new_tokens=60 rollout.think_tokens=35 eval.max_new_tokens=40
evaluated 2 "eval.think_tokens = 35" run.method=sft eval.max_new_tokens=40 eval.think_tokens=35

refused() {
    sentence=$1
    shift
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/no" "$@"
    [ $? = 2 ] || fail "$* is not refused"
    says err "$sentence"
    [ ! -d no ] || fail "$* leaves a folder"
}
refused "does not hold the closing tag </think> of reward.think_tag" rollout.think_tokens=9 'rollout.think_close="</reason>"'
refused "does not hold the closing tag </why> of reward.think_tag" rollout.think_tokens=9 'reward.think_tag="why"'
refused "holds the text '>' of rollout.stop" rollout.think_tokens=9 'rollout.stop=[">"]'
refused "lets none begin" rollout.think_tokens=9 prompt.thinking=false prompt.chat=qwen3 'reward.parts=({name="answer";})'
refused "leaves no room for an answer behind rollout.think_tokens = 35 and the 10 tokens" rollout.think_tokens=35
refused "rollout.think_close holds token 256, at which" rollout.think_tokens=9 'rollout.think_close="</think><|endoftext|>"'
finish
