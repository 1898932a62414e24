#!/bin/sh
# inputs.sh ROOT GRADUS: every file of input/ is planned, with a small model in place of the one it names; the examples of
# input/README are one input file that is planned as well.
. "$(dirname "$0")/lib.sh"
tiny_model --max-positions 20480
for number in 1 2 3 4 5 6 7 8; do
    echo "{\"question\": \"$number?\", \"answer\": \"#### $number\"}"
done >"$work/rows.jsonl"

rows="data.train=( { path = \"$work/rows.jsonl\"; prompt = \"question\"; answer = \"answer\"; } )"
seq 1000 >"$work/text.txt"
texts="data.corpus=( { path = \"$work/text.txt\"; text = \"\"; } )"

# plan FILE SETTING...
plan() {
    file=$1
    shift
    "$gradus" plan --ranks 2 "$file" model.path="$work/model" run.directory="$work/run" prompt.max_tokens=1024 \
        "$rows" "$@" >"$work/out" 2>"$work/err" ||
        fail "gradus plan $file: $(cat "$work/err")"
    grep -q 'memory of a rank' "$work/out" || fail "gradus plan $file prints no memory"
}

for file in "$root"/input/*.cfg; do
    case $file in
    */reference.cfg) # what must be given is absent there
        plan "$file" run.steps=1 ;;
    */adversarial.cfg | */adversarial_reasoning.cfg)
        plan "$file" "data.train=()" "$texts" ;;
    *) plan "$file" ;;
    esac
    grep -q "^    $(basename "$file") " "$root/input/README" || fail "input/README does not name $(basename "$file")"
done

# The input with conversations, with conversations.
echo '{"messages": [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "1"}]}' >"$work/talks.jsonl"
"$gradus" plan "$root/input/sft_messages.cfg" model.path="$work/model" run.directory="$work/run" prompt.chat=chatml \
    "data.train=( { path = \"$work/talks.jsonl\"; messages = \"messages\"; } )" >"$work/out" 2>"$work/err" ||
    fail "gradus plan of conversations: $(cat "$work/err")"
"$gradus" plan "$root/input/sft.cfg" model.path="$work/nowhere" >/dev/null 2>&1 && fail "a model that is not there is planned"

# The levels of the format reward are told where one looks for them.
"$gradus" params reward.parts >"$work/told"
for level in '1: one' '0.5: ' '0.25: ' '0'; do
    grep -qF "$level" "$work/told" || fail "gradus params reward.parts does not tell the level $level of the format reward"
    grep -qF "$level" "$root/input/README" || fail "input/README does not tell the level $level of the format reward"
done

# The two examples that one compares differ in the gate and the folder of the run alone.
for file in grpo sapo; do
    sed 's/#.*//; s/ *$//' "$root/input/${file}_gsm8k.cfg" | grep . >"$work/$file.lines"
done
diff "$work/grpo.lines" "$work/sapo.lines" | sed -n 's/^[<>] *//p' >"$work/differences"
grep -q '^gate = "erf"' "$work/differences" || fail "sapo_gsm8k.cfg has the gate of grpo_gsm8k.cfg"
grep -vE '^(directory|gate|clip_low|clip_high|tau_pos|tau_neg) = ' "$work/differences" >"$work/others" &&
    fail "grpo_gsm8k.cfg and sapo_gsm8k.cfg differ in more than the gate: $(cat "$work/others")"

awk '/^  Example  / { sub(/^  Example  */, ""); print; more = 1; next }
     /^  [A-Z]/ || /^$/ { more = 0 }
     more' "$root/input/README" >"$work/examples.cfg"
plan "$work/examples.cfg" "eval.sets=( { name = \"rows\"; path = \"$work/rows.jsonl\"; prompt = \"question\"; answer = \"answer\"; } )" mauve.every=0
for group in $(list_parameters | sed 's/\..*//' | sort -u); do
    grep -q "^ *$group : {\|; *$group : {" "$work/examples.cfg" || fail "input/README has no example of the group $group"
done
finish
