#!/bin/sh
# log.sh: the numbers of a step's line are those of its files, by the run's own reward parts; an answer is shown every so often.
. "$(dirname "$0")/lib.sh"
long=$(awk 'BEGIN { for (i = 0; i < 19; i++) printf "word%d ", i % 10 }')end # as much as the model has positions for
train 2 run run.steps=4 rollout.max_new_tokens=4 output.show_every=2 prompt.template="$long
{prompt}" \
    'reward.parts=( { name = "length"; weight = 0.5; }, { name = "answer"; weight = 1.0; } )'

# says KEY STEP: the value behind " KEY = " in the line of a step.
says() {
    sed -n "s/.* run: step = $2\/4, .*[ ,]$1 = \([^,]*\).*/\1/p" run/log.txt
}
for step in 1 2 3 4; do
    for pair in reward:/step/reward length:/step/rewards/length/mean answer:/step/rewards/answer/mean \
        entropy:/step/entropy; do
        want=$(printf %.3f "$(value run "${pair#*:}" $((step - 1)))")
        [ "${pair%%:*}" != length ] || continue # the mean length has the same name, behind it
        [ "$(says "${pair%%:*}" $step)" = "$want" ] || fail "step $step: ${pair%%:*} is $(says "${pair%%:*}" $step), not $want"
    done
    want=$(printf %.3f "$(value run /pass/eur $((step - 1)) 1)")
    [ "$(says eur_last_pass $step)" = "$want" ] || fail "step $step: EUR is $(says eur_last_pass $step), that of the last pass $want"
    want=$(printf %.3f "$(value run /step/rewards/length/mean $((step - 1)))")
    grep -q "run: step = $step/4, .*, length = $want, answer = " run/log.txt || fail "step $step: no mean $want of the length reward"
done

# Answers after steps 2 and 4: of the first group, each time another one; the prompt's end, escaped.
[ "$(grep -c '\] [0-9.]* answer: ' run/log.txt)" = 2 ] || fail "not 2 answers are shown: $(cat run/log.txt)"
k=0
grep 'answer: prompt' run/log.txt | while read -r line; do
    k=$((k + 1))
    reward=$("$SYSTEM_TOOL" value run/rollouts/step-00000$((2 * k)).h5 /answer/reward $k)
    length=$("$SYSTEM_TOOL" value run/rollouts/step-00000$((2 * k)).h5 /answer/reward_length $k)
    case $line in
    *'prompt = "…'*' word8 end\x0a'[0-7]+[0-7]'=", reference = "'[0-7]'", answer = "'*"reward = $(printf %.3f "$reward"), reward_length = $(printf %.3f "$length"), reward_answer = "*) ;;
    *) echo "step $((2 * k)), reward $reward: $line" ;;
    esac
done >odd
[ ! -s odd ] || fail "an answer is shown otherwise: $(cat odd)"

train 1 quiet output.show_every=0
grep -q 'answer: ' quiet/log.txt && fail "output.show_every = 0 shows answers"
# What is given without effect is said once, by one rank, with where it comes from.
train 2 idle run.steps=1 objective.gate=clip objective.tau_pos=3 'reward.parts=({name="answer";})' prompt.chat=auto prompt.thinking=false
for words in "command line: objective.tau_pos has no effect: it matters only where objective.gate is" \
    "command line: prompt.thinking = false has no effect: the chat form of this model is not qwen3"; do
    for file in err idle/log.txt; do
        [ "$(grep -cF "settings: warning: $words" "$file")" = 1 ] || fail "$file does not say once '$words': $(grep warning "$file")"
    done
done
finish
