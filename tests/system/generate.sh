#!/bin/sh
# generate.sh: the same lines in the same order from 1, 2 and 3 ranks, greedy and drawn; rewards of rows with a reference.
. "$(dirname "$0")/lib.sh"
awk 'BEGIN { for (a = 0; a < 8; a++) printf "{\"id\": %d, \"prompt\": \"%d+%d=\"}\n", a, a, 7 - a
             print "{\"prompt_token_ids\": [49, 43, 50, 61], \"id\": 8}" }' >prompts.jsonl

# answers RANKS NAME SETTING...
answers() {
    ranks=$1
    run=$2
    shift 2
    job "$ranks" generate "$SYSTEM_WORK/input.cfg" --input prompts.jsonl --output "$run.jsonl" "$@" || fail "generate $run: $(cat err)"
}
for ranks in 1 2 3; do
    answers $ranks greedy-$ranks rollout.temperature=0 rollout.group_size=1
    answers $ranks drawn-$ranks
    for kind in greedy drawn; do
        cmp $kind-1.jsonl $kind-$ranks.jsonl || fail "$kind answers on $ranks ranks differ"
    done
done
answers 1 greedy-threads rollout.temperature=0 rollout.group_size=1 parallel.threads=2 rollout.answers_in_flight=2
cmp greedy-1.jsonl greedy-threads.jsonl || fail "greedy answers with 2 threads differ"
answers 1 top rollout.top_k=1 rollout.group_size=1
[ "$(sed 's/.*completions//' top.jsonl)" = "$(sed 's/.*completions//' greedy-1.jsonl)" ] || fail "top_k = 1 is not greedy"
answers 1 seed run.seed=1
cmp -s drawn-1.jsonl seed.jsonl && fail "another seed draws the same"

# A row of data.train is a line like any other: its fields go by the names of its source, and its answers are rewarded. The
# reward is the one that can be read in the text.
job 1 generate "$SYSTEM_WORK/input.cfg" --input "$SYSTEM_WORK/sums.jsonl" --output rows.jsonl rollout.temperature=0.7 \
    'reward.parts=( { name = "answer"; weight = 2.0; }, { name = "length"; weight = 0.5; } )' || fail "generate of rows: $(cat err)"
awk '{
    want = $0; sub(/.*"answer": *"/, "", want); sub(/".*/, "", want)
    n = split($0, part, /\{"text":"/)
    for (i = 2; i <= n; i++) {
        text = ids = reward = got = long = part[i]
        sub(/","token_ids".*/, "", text); sub(/.*"token_ids":\[/, "", ids); sub(/\].*/, "", ids)
        sub(/.*"reward":/, "", reward); sub(/,.*/, "", reward)
        sub(/.*"rewards":\{"answer":/, "", got); sub(/,.*/, "", got); sub(/.*"length":/, "", long); sub(/\}.*/, "", long)
        right = index(text, "<answer>" want "</answer>") > 0
        length_is = split(ids, all, ",") / 40
        if (got + 0 != right || (long - length_is) ^ 2 > 1e-18 || (reward - 2 * got - 0.5 * long) ^ 2 > 1e-18)
            print "line " NR ": answer " got ", length " long ", reward " reward "; " right ", " length_is " expected: " part[i]
        count++; sum += right
    }
} END { print count, sum / count >"rows.count" }' rows.jsonl >rows.bad
[ -s rows.bad ] && fail "rewards are not those of the texts: $(head -n 3 rows.bad)"
read -r count right <rows.count
[ "$count" -gt 100 ] || fail "only $count answers are rewarded"
holds "$right > 0.02 && $right < 1" "right answers of sft at temperature 0.7"
grep -q "generate: prompts = [0-9]*, answers = $count, .*graded = $count, .*answer = $(printf %.3f "$right")" err ||
    fail "the log has other rewards: $(tail -n 1 err)"
grep -q '"reward"' greedy-1.jsonl && fail "lines without a reference are rewarded"
echo '{"text": "1+1="}' >nothing.jsonl
job 1 generate "$SYSTEM_WORK/input.cfg" --input nothing.jsonl --output nothing.out && fail "a line without a prompt is answered"
grep -q 'nothing.jsonl:1: the line has no prompt, .* prompt_token_ids, question, prompt, messages; it has: text' err ||
    fail "no sentence on a line without a prompt: $(cat err)"
[ ! -e nothing.out ] || fail "a refused input leaves an output"

[ "$(wc -l <greedy-1.jsonl)" = 9 ] || fail "not one line for each prompt"
[ "$(grep -c '"id":[0-9]' greedy-1.jsonl)" = 9 ] || fail "the other fields of a line are lost"
[ "$(sed -n 's/.*"id":\([0-9]\).*/\1/p' greedy-1.jsonl | tr -d '\n')" = 012345678 ] || fail "the lines are in another order"
[ "$(head -n 1 drawn-1.jsonl | grep -o finish_reason | wc -l)" = 4 ] || fail "not rollout.group_size completions"
finish
