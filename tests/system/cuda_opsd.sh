#!/bin/sh
# cuda_opsd.sh: self-distillation through the CUDA backend, on the host where there is no GPU: in fp32 the CPU's tokens and numbers,
# up to rounding; its own bits on 1, 2 and 3 ranks, on shards or not. What runs out of memory says so with its plan beside it.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2089
rows="data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"answer\";solution=\"worked\";})"
opsd="run.method=opsd run.steps=2 checkpoint.every=1 checkpoint.keep=2 update.iterations=1 rollout.prompts_per_step=3
    rollout.group_size=2 rollout.max_new_tokens=8 parallel.groups_per_tile=1 run.device=cuda"
template="{prompt} is like {solution}
{prompt}"

# run RANKS NAME SETTING...
# shellcheck disable=SC2086,SC2090
run() {
    ranks=$1
    run=$2
    shift 2
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" $opsd "$rows" distill.teacher_template="$template" "$@"
}

# finished RANKS NAME SETTING...
finished() {
    run "$@" || fail "opsd $*: $(cat err)"
}

run 1 probe run.steps=1 || {
    grep -q 'there is no backend "cuda"' err && {
        echo "skipped: built without CUDA"
        exit 77
    }
    fail "opsd: $(cat err)"
    finish
}

# near NAME: the numbers of ./NAME are those of ./NAME-cpu, and the tokens the same.
near() {
    "$SYSTEM_TOOL" same "$1/rollouts/step-000001.h5" "$1-cpu/rollouts/step-000001.h5" /provenance logprob entropy divergence ||
        fail "$1: other tokens were drawn than on the CPU"
    for number in loss grad_norm distill/divergence distill/entropy_teacher distill/agreement distill/clipped_entries; do
        a=$(value "$1" "/step/$number" 0)
        b=$(value "$1-cpu" "/step/$number" 0)
        holds "($a - $b)^2 <= (1e-4 * $b)^2" "$number of $1 is $a, on the CPU $b"
    done
}

# case NAME SETTING...: on both devices, and on several ranks.
each() {
    name=$1
    shift
    finished 1 "$name" "$@"
    finished 1 "$name-cpu" "$@" run.device=cpu
    near "$name"
    finished 2 "$name-two" "$@" rollout.answers_in_flight=1
    same_whole "$name" "$name-two"
    finished 3 "$name-three" "$@" parallel.shard=true
    same_whole "$name" "$name-three"
}
each full distill.teacher=ema distill.ema_decay=0.5 distill.divergence=forward_kl distill.clip=0.01
each adapter distill.top_k=5 lora.rank=4 lora.alpha=8 model.path="$SYSTEM_WORK/llama"

# The host gives as little memory as one likes.
if ! nvidia-smi >/dev/null 2>&1; then
    GRADUS_HOST_MIB=2 && export GRADUS_HOST_MIB
    run 2 full_up
    [ $? = 70 ] || fail "without memory the exit status is not 70: $(cat err)"
    grep -q "no memory on the device for .* This rank holds .* MiB, most of it" err || fail "no sentence: $(cat err)"
    [ "$(grep -c '^\[0\] .* plan: a rank needs up to [0-9.]* MiB, in [a-z]*, .* scratch of the cuda backend' err)" = 1 ] || fail "no plan: $(cat err)"
    unset GRADUS_HOST_MIB
fi
finish
