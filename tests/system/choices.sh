#!/bin/sh
# choices.sh: each choice of the input file takes a step with finite numbers; the guarded backend finds nothing to say.
. "$(dirname "$0")/lib.sh"
always="reward_penalised kl rewards/length/mean rewards/length/std"
other="time/diagnosis rewards/math/ rewards/overlong/ rewards/program/ rewards/plugin/ advantage/baseline completions/forced_ratio redrawn_windows gate/tau_pos gate/tau_neg gate/tau_error gxpo/ sfpo/ distill/ adversarial/ mauve/ time/mauve update/fallback"

# step WORDS: one step with these settings, all its numbers finite.
step() {
    rm -rf run
    # shellcheck disable=SC2086
    train 1 run run.steps=1 rollout.prompts_per_step=4 $1
    # shellcheck disable=SC2086
    "$SYSTEM_TOOL" finite run/diagnostics.h5 $always $other || fail "$1: a metric is not finite"
    [ "$(value run /step/mismatch/logprob_max)" = 0 ] || fail "$1: sampler and trainer differ"
    holds "$(value run /step/grad_norm) > 0" "$1: the gradient"
}

while read -r settings; do
    [ -z "$settings" ] || step "$settings"
done <<'END'
objective.gate=clip objective.clip_high=0.28
objective.gate=clip objective.clip_dual=3
objective.gate=sigmoid objective.tau_pos=1 objective.tau_neg=1.05
objective.gate=arctan
objective.gate=softsign
objective.gate=none
objective.level=sequence
objective.level=sequence objective.gate=clip
objective.advantage=group_mean
objective.advantage=leave_one_out
objective.advantage=batch
objective.aggregation=token_mean
objective.aggregation=constant
objective.entropy_coef=0.01
update.mini_batches=2
update.iterations=3 update.mini_batches=3
rollout.resample=2
rollout.temperature=0.7 rollout.top_p=0.9
rollout.top_k=5
rollout.min_p=0.1
rollout.presence_penalty=0.5
rollout.stop=["</think>","</answer>"]
model.recompute=true
parallel.tokens_per_pass=60
parallel.groups_per_tile=3
parallel.reduction=fast
optimizer.schedule=linear
optimizer.schedule=cosine optimizer.warmup_steps=1
optimizer.weight_decay=0.1 optimizer.max_grad_norm=0
reward.parts=({name="format";weight=1.0;},{name="answer";weight=2.0;},{name="length";weight=-0.5;})
reward.parts=({name="math";weight=1.0;},{name="format";},{name="answer";},{name="length";weight=-0.1;}) reward.math_places=["block","last"] reward.math_tolerance=0.001
reward.parts=({name="overlong";scale=2.0;clip=1.5;},{name="format";},{name="answer";},{name="length";weight=-0.1;}) reward.overlong_from=2 reward.overlong_to=5
data.shuffle=false
prompt.template="What_is_{prompt}?"
prompt.chat=auto
prompt.chat=chatml prompt.system="Add."
checkpoint.every=1 checkpoint.every_s=0 output.rollouts_every=0
run.device=check
run.device=check model.recompute=true update.mini_batches=2 objective.kl_coef=0.1 objective.entropy_coef=0.01
run.device=check rollout.top_p=0.9 rollout.top_k=20 rollout.min_p=0.01 rollout.presence_penalty=0.5 parallel.threads=2
END
source="path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer"
step "data.train=({$source=\"answer\";weight=3.0;},{$source=\"worked\";where=\"answer<'3'\";answer_after=\"<answer>\";})"

always="reward_penalised rewards/length/mean rewards/length/std"
for estimator in k1 k2 k3; do
    step "objective.kl_coef=0.1 objective.kl_estimator=$estimator objective.kl_in=loss"
done
always="rewards/length/mean rewards/length/std"
for estimator in k1 k2 k3; do
    step "objective.kl_coef=0.1 objective.kl_estimator=$estimator objective.kl_in=reward"
done

# A stop text ends answers, and stays in them.
rm -rf run
train 1 run run.steps=1 'rollout.stop=["</think>"]'
[ "$("$GRADUS" inspect run/rollouts/step-000001.h5 | grep -c 'stop_text')" = 1 ] || fail "no answer ended by the stop text"

# sft on the guarded backend.
job 1 train "$SYSTEM_WORK/sft.cfg" model.path="$SYSTEM_WORK/qwen3" run.directory="$work/sft" run.steps=2 optimizer.warmup_steps=0 run.device=check ||
    fail "sft on the guarded backend: $(cat err)"
finish
