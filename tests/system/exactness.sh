#!/bin/sh
# exactness.sh ARCH (or bf16): ranks, threads and the number of answers in flight change no bit of rollouts, metrics, parameters and
# optimizer state; the positions that went through the blocks are those of the prompts and answers, once each.
. "$(dirname "$0")/lib.sh"
arch=$1
case $arch in
qwen2) settings="objective.kl_coef=0.01" ;;
bf16) settings="objective.kl_coef=0.01 model.precision=bf16" arch=qwen2 ;;
qwen3) settings="update.mini_batches=2 objective.level=sequence objective.gate=clip parallel.groups_per_tile=1" ;;
llama) settings="objective.kl_coef=0.01 objective.kl_in=reward objective.advantage=batch rollout.top_p=0.95 rollout.resample=1
                 model.recompute=true parallel.tokens_per_pass=60 objective.entropy_coef=0.001" ;;
esac
settings="$settings model.path=$SYSTEM_WORK/$arch checkpoint.every=3"

# shellcheck disable=SC2086
run() {
    ranks=$1
    run=$2
    shift 2
    train "$ranks" "$run" $settings "$@"
}

# same_run A B: everything that two runs leave, but for times, memory, and the settings that may differ.
same_run() {
    same_rollouts "$1" "$2"
    same_numbers "$1" "$2"
    same "$1/checkpoints/step-000003.h5" "$2/checkpoints/step-000003.h5" /provenance /manifest /settings
    cmp "$1/model/model.safetensors" "$2/model/model.safetensors" || fail "the models of $1 and $2 differ"
}

run 1 one
run 1 again
same_run one again
for ranks in 2 3; do
    run "$ranks" "ranks-$ranks"
    same_run one "ranks-$ranks"
done
run 1 threads-2 parallel.threads=2
same_run one threads-2
for answers in 1 3; do
    run 1 "flight-$answers" rollout.answers_in_flight=$answers
    same_run one "flight-$answers"
done
run 2 flight-3-ranks-2 rollout.answers_in_flight=3
same_run one flight-3-ranks-2

# The comparison must be able to fail.
run 1 seed run.seed=1
differ one/rollouts/step-000001.h5 seed/rollouts/step-000001.h5 /provenance
differ one/checkpoints/step-000003.h5 seed/checkpoints/step-000003.h5 /provenance /manifest /settings

for step in 0 1 2; do
    file=one/rollouts/step-00000$((step + 1)).h5
    set -- $("$SYSTEM_TOOL" positions "$file")
    passes=2 # update.iterations
    trained=$(value one /step/positions $step)
    drawn=$(value one /step/rollout/positions $step)
    if [ "$arch" = llama ]; then # prompts stand again in each pass of a cut tile; replaced groups were decoded too
        holds "$trained > $((passes * $1))" "step $((step + 1)) of $arch: positions in training, tiles cut"
        holds "$drawn >= $2" "step $((step + 1)) of $arch: positions in decoding"
    else
        [ "$trained" = $((passes * $1)) ] || fail "step $((step + 1)): $trained positions in training, expected $((passes * $1))"
        [ "$drawn" = "$2" ] || fail "step $((step + 1)): $drawn positions in decoding, expected $2"
    fi
    for metric in mismatch/logprob_max mismatch/logprob_mean; do
        [ "$(value one /step/$metric $step)" = 0 ] || fail "step $((step + 1)): $metric is not 0"
    done
done

# No prompt a second time before the epoch of 64 prompts is over.
twice=$("$SYSTEM_TOOL" prompts one/rollouts/step-*.h5 | sort | uniq -d)
[ -z "$twice" ] || fail "prompts (source, row) that stand twice: $twice"
[ "$("$SYSTEM_TOOL" prompts one/rollouts/step-*.h5 | wc -l)" = 18 ] || fail "3 steps of 6 prompts are not 18"
holds "$(value one /step/reward_std 0) > 0" "the rewards vary"
finish
