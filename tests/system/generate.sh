#!/bin/sh
# generate.sh: the same lines in the same order from 1, 2 and 3 ranks, greedy and drawn.
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

[ "$(wc -l <greedy-1.jsonl)" = 9 ] || fail "not one line for each prompt"
[ "$(grep -c '"id":[0-9]' greedy-1.jsonl)" = 9 ] || fail "the other fields of a line are lost"
[ "$(sed -n 's/.*"id":\([0-9]\).*/\1/p' greedy-1.jsonl | tr -d '\n')" = 012345678 ] || fail "the lines are in another order"
[ "$(head -n 1 drawn-1.jsonl | grep -o finish_reason | wc -l)" = 4 ] || fail "not rollout.group_size completions"
finish
