#!/bin/sh
# learning.sh: rl raises the reward; with a learning rate of 0 it changes no bit of the model, and the rewards stay.
. "$(dirname "$0")/lib.sh"

# rewards RUN FIRST LAST: mean reward of these steps, and the square of its standard error by the spread of the steps.
rewards() {
    for step in $(seq "$2" "$3"); do value "$1" /step/reward "$step"; done |
        awk '{ n++; s += $1; q += $1 * $1 } END { m = s / n; print m, (q / n - m * m) / (n - 1) }'
}

train 2 learns run.steps=60 output.rollouts_every=20 rollout.prompts_per_step=8 rollout.group_size=8
set -- $(rewards learns 0 9) $(rewards learns 50 59)
holds "$3 > $1 + 0.25" "the mean reward of 10 steps rises from $1 to $3"

train 2 rests run.steps=40 optimizer.learning_rate=0 output.rollouts_every=20 optimizer.weight_decay=0.1
cmp "$SYSTEM_WORK/qwen2/model.safetensors" rests/model/model.safetensors || fail "a learning rate of 0 changed the model"
set -- $(rewards rests 0 19) $(rewards rests 20 39)
holds "($1 - $3) ^ 2 < 9 * ($2 + $4)" "at a learning rate of 0 the mean reward stays: $1, then $3"
for step in 0 39; do
    [ "$(value rests /pass/eur $step 1)" = 1 ] || fail "at a learning rate of 0 the EUR of pass 2 is not 1"
    [ "$(value rests /pass/grad_norm $step 0)" = "$(value rests /pass/grad_norm $step 1)" ] ||
        fail "at a learning rate of 0 the gradients of both passes differ"
done
finish
