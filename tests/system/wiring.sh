#!/bin/sh
# wiring.sh: each parameter that leaves no trace in a step's numbers has the effect it is there for: prompts, data and their order,
# seeds, files and their steps, tiles, threads, memory. The others are recompute.sh's and draws.sh's.
. "$(dirname "$0")/lib.sh"
file=run/rollouts/step-000001.h5

# took SETTING...: a run of one step in ./run, its answers short.
took() {
    rm -rf run
    train 1 run run.steps=1 update.iterations=1 rollout.max_new_tokens=4 "$@"
}

# rows PATH OFFSETS [FILE]: of a ragged array of the step's rollouts.
rows() {
    "$SYSTEM_TOOL" rows "${3:-$file}" "$1" "$2"
}

# questions: what the file of data asks in the rows that the step took; row 8 a + b is "a+b=".
questions() {
    "$SYSTEM_TOOL" prompts $file | awk '{ printf "%d+%d=\n", $2 / 8, $2 % 8 }'
}

equal() {
    [ "$1" = "$2" ] || fail "$3: have '$(echo "$1" | head -n 2)', expected '$(echo "$2" | head -n 2)'"
}

# --- prompts: the text around the question, the chat form, the rows that take part ---

took 'prompt.template="Is_{prompt}?"'
equal "$(rows /prompt/text /prompt/text_offsets)" "$(questions | sed 's/.*/Is_&?/')" "texts with a template"
job 1 tokenize --model "$SYSTEM_WORK/qwen2" --decode </dev/null || fail "tokenize: $(cat err)"
equal "$(rows /prompt/token_ids /prompt/offsets | "$GRADUS" tokenize --model "$SYSTEM_WORK/qwen2" --decode)" \
    "$(questions | sed 's/.*/Is_&?/')" "token ids with a template"

job 1 init --arch qwen2 --layers 1 --width 32 --heads 2 --mlp 32 --max-positions 1024 --output long || fail "init: $(cat err)"
# formed CHAT MESSAGE-BEFORE MORE SETTING...: the prompt is the conversation that tokenize --chat makes of the same turns.
formed() {
    chat=$1
    system=$2
    more=$3
    shift 3
    took model.path="$work/long" prompt.chat="$chat" "$@"
    questions | sed "s/.*/{\"messages\": [$system{\"role\": \"user\", \"content\": \"&\"}]$more}/" >messages.jsonl
    equal "$(rows /prompt/token_ids /prompt/offsets)" "$("$GRADUS" tokenize --model long --chat "$chat" <messages.jsonl)" "the form $chat with $*"
}
turn='{"role": "system", "content": "Add."}, '
formed chatml "" ""
formed chatml "$turn" "" 'prompt.system="Add."'
formed qwen3 "$turn" ', "thinking": false' 'prompt.system="Add."' \
    prompt.thinking=false 'reward.parts=({name="answer";})'
formed qwen3 "" ', "thinking": true'
formed llama3 "$turn" "" 'prompt.system="Add."'
formed auto "" ""

{ cat "$SYSTEM_WORK/sums.jsonl"; echo '{"question": "10+1=", "answer": "11"}'; } >longer.jsonl
source="data.train=({path=\"$work/longer.jsonl\";prompt=\"question\";answer=\"answer\";})"
took "$source" prompt.max_tokens=4
grep -q "prompts = 64, left_out_as_too_long = 1" run/log.txt || fail "prompt.max_tokens = 4: $(grep left_out run/log.txt)"
took "$source" prompt.max_tokens=5
grep -q "prompts = 65, left_out_as_too_long = 0" run/log.txt || fail "prompt.max_tokens = 5: $(grep left_out run/log.txt)"

# --- data: order, seed, mixture, conditions, answers ---

took data.shuffle=false
equal "$(questions | tr '\n' ' ')" "0+0= 0+1= 0+2= 0+3= 0+4= 0+5= " "the order of the file"
equal "$(rows /prompt/reference /prompt/reference_offsets | tr '\n' ' ')" "0 0 0 0 0 0 " "references"
cp $file seed-0.h5
took data.shuffle=false run.seed=1
[ "$(rows /answer/token_ids /answer/offsets)" != "$(rows /answer/token_ids /answer/offsets seed-0.h5)" ] ||
    fail "another seed draws the same answers to the same prompts"
took
shuffled=$(questions)
[ "$shuffled" != "$(questions | sort)" ] || fail "the prompts are not shuffled"
took run.seed=1
[ "$shuffled" != "$(questions)" ] || fail "another seed takes the same prompts"

path="path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\""
took rollout.prompts_per_step=8 "data.train=({$path;answer=\"answer\";weight=3.0;},{$path;answer=\"worked\";where=\"answer<'3'\";answer_after=\"<answer>\";})"
equal "$("$SYSTEM_TOOL" prompts $file | cut -d' ' -f1 | sort | uniq -c | xargs)" "6 0 2 1" "shares of weights 3 and 1"
equal "$("$SYSTEM_TOOL" prompts $file | awk '$1 == 1 && $2 >= 24')" "" "rows that the condition leaves out"
want=$("$SYSTEM_TOOL" prompts $file | awk '{ printf "%d%s ", $2 / 8, $1 == 1 ? "</answer>" : "" }')
equal "$(rows /prompt/reference /prompt/reference_offsets | tr '\n' ' ')" "$want" "references of both sources"

# One prompt, nothing learned: each step draws anew.
head -n 1 "$SYSTEM_WORK/sums.jsonl" >one.jsonl
took run.steps=2 rollout.prompts_per_step=1 rollout.group_size=8 optimizer.learning_rate=0 prompt.template="ab" \
    "data.train=({path=\"$work/one.jsonl\";prompt=\"question\";answer=\"answer\";})" 'prompt.template="{prompt}ab"' rollout.temperature=3
[ "$(rows /answer/token_ids /answer/offsets)" != "$(rows /answer/token_ids /answer/offsets run/rollouts/step-000002.h5)" ] ||
    fail "the second step draws what the first has drawn"

# Groups without a difference give way to other prompts, which count as seen.
took model.path="$SYSTEM_WORK/qwen2-start" rollout.resample=2
equal "$(value run /step/resampled_groups 0) $(value run /step/prompts_seen 0)" "12 18" "groups replaced and prompts seen"
[ -z "$("$SYSTEM_TOOL" prompts $file | sort | uniq -d)" ] || fail "a replaced prompt stands twice"

# --- files: which steps they are of ---

took run.steps=7 output.rollouts_every=3 checkpoint.every=2 checkpoint.keep=9
equal "$(ls run/rollouts | xargs)" "step-000003.h5 step-000006.h5" "rollouts of each third step"
equal "$(ls run/checkpoints | xargs)" "step-000002.h5 step-000004.h5 step-000006.h5 step-000007.h5" "checkpoints of each second step and the last"
took output.rollouts_every=0
[ -z "$(find run/rollouts -name '*.h5')" ] || fail "output.rollouts_every = 0 writes rollouts"

# --- machine: what computes, in which pieces ---

took parallel.groups_per_tile=4 parallel.threads=2
grep -q "threads = 2, tiles = 2" run/log.txt || fail "tiles and threads: $(grep tiles run/log.txt)"
took parallel.groups_per_tile=1 rollout.max_new_tokens=40 update.iterations=3
grep -q "threads = 1, tiles = 6" run/log.txt || fail "tiles and threads: $(grep tiles run/log.txt)"
cp run/model/model.safetensors exact.safetensors
took parallel.groups_per_tile=1 rollout.max_new_tokens=40 update.iterations=3 parallel.reduction=fast
cmp -s exact.safetensors run/model/model.safetensors && fail "sums in floating point have the bits of exact ones"
kept=$(value run /step/memory/backend 0)
took parallel.groups_per_tile=1 rollout.max_new_tokens=40 update.iterations=3 parallel.reduction=fast model.recompute=true
holds "$(value run /step/memory/backend 0) < $kept" "recomputation keeps less memory"
took run.device=check
"$GRADUS" inspect run/diagnostics.h5 | grep -q "devices .*guard" || fail "run.device = check is not what computed"
finish
