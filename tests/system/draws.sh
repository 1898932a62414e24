#!/bin/sh
# draws.sh: tokens are drawn by the law that the settings ask for. `score` gives the whole distribution behind a prompt, the
# completions of `generate` are counted against it; and a run's first log-probabilities are those at its temperature.
. "$(dirname "$0")/lib.sh"
model=$work/letters/model
size=259

# A model that hesitates: behind "ab" it was taught w, e, k, t and h in the shares 6 4 3 2 1, behind these e, w, o and the end in the
# shares 4 3 2 3, and half of the time a longer tail.
awk 'BEGIN {
    for (i = 0; i < 16 * 12 * 2; i++)
        printf "{\"question\": \"ab\", \"worked\": \"%s%s%s\"}\n", substr("wwwwwweeeekkktth", 1 + i % 16, 1),
               i % 12 < 9 ? substr("eeeewwwoo", 1 + i % 12, 1) : "", i % 5 < 2 ? "zzzz" : ""
}' >letters.jsonl
job 1 train "$SYSTEM_WORK/sft.cfg" model.path="$SYSTEM_WORK/qwen2-start" run.directory="$work/letters" run.steps=60 \
    "data.train=({path=\"$work/letters.jsonl\";prompt=\"question\";answer=\"worked\";})" || fail "sft: $(cat err)"

# law NAME ID...: NAME.h5, the distribution of what follows these tokens.
law() {
    file=$1
    shift
    # shellcheck disable=SC2086
    "$SYSTEM_DRAWS" table $size "$@" >table.jsonl
    job 1 score --model "$model" --input table.jsonl --output "$file.h5" || fail "score: $(cat err)"
}

# drawn SETTING...: completions of 2 tokens to "ab".
echo '{"prompt_token_ids": [97, 98]}' >prompt.jsonl
drawn() {
    job 1 generate "$SYSTEM_WORK/input.cfg" model.path="$model" --input prompt.jsonl --output drawn.jsonl rollout.group_size=3000 \
        rollout.max_new_tokens=2 "$@" || fail "generate $*: $(cat err)"
}

# follows LAW POSITION [SETTING...]
follows() {
    "$SYSTEM_DRAWS" counts "$1.h5" drawn.jsonl "$2" "$@" >said || fail "token $2 of the draws with $*: $(cat said)"
}

law first 97 98
law w 97 98 119
law e 97 98 101
while read -r settings; do
    # shellcheck disable=SC2086
    drawn $settings
    # shellcheck disable=SC2086
    follows first 0 $settings
    # shellcheck disable=SC2086
    for id in 119:w 101:e; do follows ${id#*:} 1 after=${id%:*} $settings; done
done <<'END_OF_SETTINGS'
rollout.temperature=1.0
rollout.temperature=0.6
rollout.temperature=1.7
rollout.top_k=3
rollout.top_k=12 rollout.temperature=1.5
rollout.top_p=0.6
rollout.top_p=0.9 rollout.temperature=0.8 rollout.top_k=20
rollout.min_p=0.05
rollout.min_p=0.3 rollout.temperature=1.3
rollout.presence_penalty=-5
rollout.presence_penalty=-3 rollout.temperature=0.7 rollout.top_p=0.95
rollout.presence_penalty=100 rollout.top_k=5
END_OF_SETTINGS

# Ends: stop ids of the model, a stop text, the largest number of tokens.
drawn rollout.max_new_tokens=5 'rollout.stop=["we"]' rollout.group_size=500
"$SYSTEM_DRAWS" finish drawn.jsonl 5 we 256 258 >said || fail "the ends of completions: $(cat said)"

# A run of the one prompt: the first token of each answer at the temperature of the run, whatever shapes the draw.
echo '{"question": "ab", "answer": "1"}' >one.jsonl
for temperature in 0.5 1.0 1.6; do
    rm -rf run
    train 1 run model.path="$model" run.steps=1 rollout.prompts_per_step=1 rollout.group_size=64 rollout.temperature=$temperature rollout.top_p=0.95 \
        rollout.presence_penalty=1 objective.kl_coef=0.1 update.iterations=1 \
        "data.train=({path=\"$work/one.jsonl\";prompt=\"question\";answer=\"answer\";})"
    "$SYSTEM_DRAWS" trained run/rollouts/step-000001.h5 first.h5 $temperature >said || fail "numbers at temperature $temperature: $(cat said)"
done
finish
