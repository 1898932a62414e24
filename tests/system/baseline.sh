#!/bin/sh
# baseline.sh: advantages over a moving mean of rewards: the numbers, computed a second time, and the same on any number of ranks
# and after a restart.
. "$(dirname "$0")/lib.sh"
settings="objective.advantage=ema objective.ema_decay=0.6 objective.aggregation=constant run.steps=5 checkpoint.every=1 checkpoint.keep=9"
train 1 run $settings objective.kl_coef=0.5 objective.kl_in=reward optimizer.learning_rate=1e-2

# b is the mean reward in the first step, and that of before the step in the others.
b=$(value run /step/reward_penalised 0)
for step in 1 2 3 4 5; do
    row=$((step - 1))
    have=$(value run /step/advantage/baseline $row)
    mean=$(value run /step/reward_penalised $row)
    holds "($have - ($b)) ^ 2 < 1e-24" "baseline of step $step: $have, not $b"
    "$SYSTEM_RECOMPUTE" run $step data.prompts=64 run.steps=5 update.iterations=2 rollout.max_new_tokens=40 objective.gate=erf \
        objective.advantage=ema baseline="$have" objective.aggregation=constant objective.kl_coef=0.5 objective.kl_in=reward \
        optimizer.learning_rate=1e-2 >said || fail "step $step: $(cat said)"
    b=$(awk "BEGIN { printf \"%.17g\", 0.6 * $b + 0.4 * $mean }")
    state=$("$SYSTEM_TOOL" value "run/checkpoints/step-00000$step.h5" /state/baseline)
    holds "($state - ($b)) ^ 2 < 1e-24" "baseline after step $step: $state, not $b"
done

for ranks in 2 3; do
    train $ranks run$ranks $settings objective.kl_coef=0.5 objective.kl_in=reward optimizer.learning_rate=1e-2
    same_whole run run$ranks
done
train 1 again $settings objective.kl_coef=0.5 objective.kl_in=reward optimizer.learning_rate=1e-2 run.steps=2
train 2 again $settings objective.kl_coef=0.5 objective.kl_in=reward optimizer.learning_rate=1e-2
same_whole run again

# One answer to a prompt is enough, and equal rewards are no reason to take other prompts.
train 1 single $settings rollout.group_size=1 rollout.prompts_per_step=12 rollout.resample=3
holds "$(value single /step/resampled_groups 0) == 0" "nothing is resampled"
for metric in reward_std frac_reward_zero_std; do
    case $(value single /step/$metric 0) in *nan*) ;; *) fail "$metric of groups of one is $(value single /step/$metric 0)" ;; esac
    grep -q "\"$metric\"" single/metrics.jsonl && fail "metrics.jsonl has $metric of groups of one"
done
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/no" rollout.group_size=1
[ $? = 2 ] || fail "groups of one are taken by objective.advantage = group"
finish
