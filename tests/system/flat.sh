#!/bin/sh
# flat.sh: when nothing can be learned the run says so after 5 steps, on the screen and in the log, with the reason.
. "$(dirname "$0")/lib.sh"
export SYSTEM_NOISE=1

# flat RUN WORDS SETTING...
flat() {
    run=$1
    words=$2
    shift 2
    train 2 "$run" "$@"
    for file in err "$run/log.txt"; do
        grep -q "run: warning: in 5 steps in a row all answers to a prompt had equal rewards .*: .*$words" "$file" ||
            fail "$run: $file holds no warning with '$words': $(grep warning "$file")"
        [ "$(grep -c "run: warning: " "$file")" = 1 ] || fail "$run: $(grep -c "run: warning: " "$file") warnings in $file, expected 1"
    done
    [ "$(value "$run" /step/frac_reward_zero_std 5)" = 1 ] || fail "$run: frac_reward_zero_std is not 1"
}
answer='reward.parts=({name="answer";})'
flat format "prompt.template" run.steps=6 model.path="$SYSTEM_WORK/qwen2-start"
flat length "max_new_tokens" run.steps=6 "$answer" rollout.max_new_tokens=2
flat same "rollout.temperature" run.steps=6 "$answer" rollout.temperature=1e-6 rollout.max_new_tokens=100
flat hard "rollout.group_size" run.steps=6 "$answer" rollout.temperature=3 rollout.max_new_tokens=100

# No such words where something can be learned.
train 1 learns run.steps=6
[ "$(ours | grep -c warning:)" = 0 ] || fail "a run that learns warns: $(grep warning: err)"
finish
