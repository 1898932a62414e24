#!/bin/sh
# recompute.sh: what runs say of themselves, computed a second time from their files: rewards, advantages, gates, losses and
# metrics from the rollouts; gradients and optimizer steps from the checkpoints; log-probabilities by `gradus score`.
. "$(dirname "$0")/lib.sh"
defaults="rollout.max_new_tokens=40 objective.gate=erf optimizer.learning_rate=1e-3 data.prompts=64"

# agrees SETTING...: a run of 2 steps with these settings, both steps recomputed.
agrees() {
    rm -rf run
    train 1 run run.steps=2 update.iterations=2 "$@"
    for step in 1 2; do
        # shellcheck disable=SC2086
        "$SYSTEM_RECOMPUTE" run $step $defaults run.steps=2 update.iterations=2 "$@" $told >said ||
            fail "step $step with $*: $(cat said)"
    done
    told=
}
told=

agrees objective.gate=clip objective.clip_low=0.02 objective.clip_high=0.01
agrees objective.gate=clip objective.clip_low=0.01 objective.clip_high=0.02 objective.clip_dual=1.03 \
    objective.aggregation=token_mean optimizer.learning_rate=3e-3
agrees objective.gate=sigmoid objective.tau_pos=3 objective.tau_neg=30 objective.aggregation=constant
agrees objective.tau_pos=2 objective.tau_neg=40 objective.advantage=group_mean objective.kl_coef=0.3 objective.kl_estimator=k1
agrees objective.gate=arctan objective.advantage=batch objective.kl_coef=0.3 objective.kl_estimator=k2 objective.aggregation=token_mean
agrees objective.gate=softsign objective.advantage=leave_one_out objective.kl_coef=0.3 objective.entropy_coef=0.05 \
    objective.aggregation=token_mean
agrees objective.gate=none objective.level=sequence objective.entropy_coef=-0.1 optimizer.schedule=linear
agrees objective.gate=clip objective.level=sequence objective.aggregation=constant optimizer.schedule=cosine optimizer.warmup_steps=1
for estimator in k1 k2 k3; do
    agrees objective.kl_coef=0.05 objective.kl_in=reward objective.kl_estimator=$estimator update.mini_batches=4
done
told="reward.format=1 reward.answer=2 reward.length=-0.5"
agrees 'reward.parts=({name="length";weight=-0.5;},{name="format";weight=1.0;},{name="answer";weight=2.0;})' update.mini_batches=3 \
    update.iterations=1 parallel.groups_per_tile=1 objective.kl_coef=0.1

# sft: the loss is that of the answers in the file, at temperature 1 whatever rollout.temperature is.
taught() {
    rm -rf sft
    job 1 train "$SYSTEM_WORK/sft.cfg" model.path="$SYSTEM_WORK/qwen3" run.directory="$work/sft" run.steps=4 optimizer.warmup_steps=2 \
        output.rollouts_every=1 checkpoint.every=1 checkpoint.keep=9 "$@" || fail "sft $*: $(cat err)"
    for step in 1 2 3 4; do
        "$SYSTEM_RECOMPUTE" sft $step run.method=sft run.steps=4 data.prompts=64 objective.aggregation=token_mean rollout.max_new_tokens=40 \
            optimizer.learning_rate=1e-2 optimizer.schedule=cosine optimizer.warmup_steps=2 "$@" >said || fail "sft, step $step, $*: $(cat said)"
    done
}
taught objective.aggregation=sequence_mean update.mini_batches=3 optimizer.schedule=linear
taught objective.aggregation=constant rollout.max_new_tokens=50
taught rollout.temperature=0.5

# same_scores CHECKPOINT|DIRECTORY ROLLOUT DATASET: what the run says of its answers is what score says of them under that model.
same_scores() {
    model=$1
    case $model in *.h5)
        rm -rf exported
        job 1 export "$model" --output exported || fail "export $model: $(cat err)"
        model=exported
        ;;
    esac
    "$SYSTEM_DRAWS" texts "$2" >texts.jsonl
    job 1 score --model "$model" --input texts.jsonl --output scores.h5 || fail "score: $(cat err)"
    "$SYSTEM_DRAWS" scored "$2" scores.h5 "$3" >said || fail "$3 of $2 and score with $1: $(cat said)"
}
for dataset in /token/logprob /token/entropy; do
    same_scores "$SYSTEM_WORK/qwen3" sft/rollouts/step-000001.h5 $dataset
    same_scores sft/checkpoints/step-000003.h5 sft/rollouts/step-000004.h5 $dataset
done

# Each step draws and trains with the parameters that the step before has left; the reference stays what it was at the start.
# 6 prompts of the file of 64, 3 steps.
train 2 kept checkpoint.every=1 checkpoint.keep=9 objective.kl_coef=0.1 update.mini_batches=2
same_scores "$SYSTEM_WORK/qwen2" kept/rollouts/step-000001.h5 /token/logprob
for step in 2 3; do
    for dataset in /token/logprob /token/logprob_sampler /token/entropy; do
        [ $dataset = /token/entropy ] || same_scores kept/checkpoints/step-00000$((step - 1)).h5 kept/rollouts/step-00000$step.h5 $dataset
    done
    same_scores "$SYSTEM_WORK/qwen2" kept/rollouts/step-00000$step.h5 /token/logprob_reference
done
train 1 entropy checkpoint.every=1 checkpoint.keep=9
same_scores entropy/checkpoints/step-000002.h5 entropy/rollouts/step-000003.h5 /token/entropy

# moved RUN SETTING...: every optimizer step of a run of one pass a step, from its checkpoints.
moved() {
    run=$1
    shift
    rm -rf "$run"
    train 2 "$run" run.steps=3 update.iterations=1 checkpoint.every=1 checkpoint.keep=9 output.rollouts_every=0 "$@"
    before=start/checkpoints/step-000001.h5
    for step in 1 2 3; do
        after=$run/checkpoints/step-00000$step.h5
        "$SYSTEM_MOMENTS" step $before "$after" "$@" steps=$step "learning_rate=$(value "$run" /step/learning_rate $((step - 1)))" \
            "grad_norm=$(value "$run" /step/grad_norm $((step - 1)))" >said || fail "optimizer step $step of $*: $(cat said)"
        before=$after
    done
    [ "$(value "$run" /step/update/optimizer_steps 2)" = 3 ] || fail "$run: not 3 optimizer steps"
}
train 1 start run.steps=1 update.iterations=1 optimizer.learning_rate=0 checkpoint.every=1
moved clipped optimizer.beta1=0.5 optimizer.beta2=0.9 optimizer.weight_decay=0.5 optimizer.max_grad_norm=0.1 optimizer.epsilon=1e-4
moved free optimizer.beta1=0.8 optimizer.max_grad_norm=0 optimizer.schedule=linear
for step in 0 1 2; do
    holds "$(value clipped /step/grad_norm $step) > 0.1" "the clipped gradient of step $((step + 1)) was longer"
done

# sloped SETTING...: the loss changes along a step of 2e-5 as its gradient says.
sloped() {
    set -- run.steps=1 optimizer.beta1=0 optimizer.max_grad_norm=0 optimizer.learning_rate=2e-5 checkpoint.every=1 output.rollouts_every=0 \
        objective.tau_pos=1 objective.tau_neg=2 "$@"
    train 1 one "$@" update.iterations=1 --fresh
    train 1 two "$@" update.iterations=2 --fresh
    "$SYSTEM_MOMENTS" slope start/checkpoints/step-000001.h5 one/checkpoints/step-000001.h5 two/checkpoints/step-000001.h5 \
        "$(value two /pass/loss 0 0)" "$(value two /pass/loss 0 1)" >said || fail "the slope of the loss with $*: $(cat said)"
}
sloped rollout.temperature=0.7 objective.kl_coef=0.5 objective.entropy_coef=0.02
sloped objective.level=sequence objective.gate=sigmoid objective.aggregation=token_mean objective.entropy_coef=-0.1 model.recompute=true
sloped objective.aggregation=constant objective.gate=none objective.kl_coef=0.2 objective.kl_estimator=k2 rollout.temperature=1.5 \
    parallel.tokens_per_pass=60 parallel.reduction=fast
finish
