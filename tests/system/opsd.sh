#!/bin/sh
# opsd.sh CASE: self-distillation, whole runs.
#   bits: every teacher leaves the same on 1, 2 and 3 ranks, with and without shards, in one pass or several
#   restart: stopped in the middle, a run with a moving mean as its teacher goes on to the bit
#   equal: a teacher that reads what the student reads teaches nothing, exactly    numbers: what a step reports
#   reason: a teacher that writes first
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2089
rows="data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"answer\";solution=\"worked\";})"
template="{prompt} is like {solution}
{prompt}"
opsd="run.method=opsd update.iterations=1 rollout.group_size=2 rollout.max_new_tokens=20 checkpoint.every=3 parallel.groups_per_tile=1"
lora="lora.rank=4 lora.alpha=8"

# run RANKS NAME SETTING...: whose first word may be several settings.
# shellcheck disable=SC2086,SC2090
run() {
    ranks=$1
    run=$2
    several=$3
    shift 3
    train "$ranks" "$run" $opsd $several "$rows" distill.teacher_template="$template" "$@"
}

same_run() {
    same_rollouts "$1" "$2"
    same_numbers "$1" "$2"
    same "$1/checkpoints/step-000003.h5" "$2/checkpoints/step-000003.h5" /provenance /manifest /settings
}

case $1 in
bits)
    the_same "distill.teacher=initial"
    the_same "distill.teacher=live distill.divergence=reverse_kl model.path=$SYSTEM_WORK/qwen3"
    the_same "distill.teacher=ema distill.ema_decay=0.7 distill.divergence=forward_kl distill.clip=0.01"
    the_same "$lora distill.teacher=initial distill.top_k=5 model.path=$SYSTEM_WORK/llama"
    the_same "$lora distill.teacher=ema distill.ema_decay=0.5 distill.clip=0.02 distill.clip_at=token parallel.tokens_per_pass=60"
    the_same "$lora distill.teacher=live distill.estimator=sampled update.mini_batches=2 model.precision=bf16"
    ;;
restart)
    goes_on 1 3 distill.teacher=ema distill.ema_decay=0.7
    goes_on 2 1 distill.teacher=ema distill.ema_decay=0.7 parallel.shard=true
    goes_on 2 2 "$lora" distill.teacher=ema distill.ema_decay=0.7
    goes_on 1 2 distill.teacher=initial
    ;;
equal)
    template="{prompt}"
    for kind in "distill.teacher=live" "$lora distill.teacher=initial distill.divergence=forward_kl" \
        "distill.teacher=initial distill.divergence=reverse_kl" "$lora distill.teacher=live distill.top_k=7"; do
        run 1 run "$kind run.steps=1 optimizer.weight_decay=0"
        for number in loss grad_norm distill/divergence; do
            holds "$(of $number) == 0" "$number where both read the same ($kind)"
        done
        holds "$(of distill/agreement) == 1" "agreement where both read the same ($kind)"
        rm -rf run
    done
    ;;
numbers)
    run 1 run "run.device=check run.steps=1 distill.clip=0.001"
    holds "$(of loss) < $(of distill/divergence)" "the clip lowers the loss"
    holds "$(of distill/clipped_entries) > 0 && $(of distill/clipped_tokens) >= $(of distill/clipped_entries)" "clipped shares"
    holds "$(of distill/clipped_tokens) <= 1 && $(of distill/agreement) <= 1 && $(of distill/probability_teacher) <= 1" "shares"
    holds "$(of mismatch/logprob_max) == 0" "sampler and trainer"
    cp -r run one
    rm -rf run
    run 1 run "run.steps=1 distill.clip=0.001"
    same_numbers one run
    job 1 inspect run/rollouts/step-000001.h5 --answer 0
    grep -q divergence out || fail "inspect shows no divergence: $(cat out)"
    ;;
reason)
    template="{prompt} is like {solution}. Why?{reason} So, again:"
    the_same "distill.reason_first=true distill.reason_tokens=9 $lora"
    ;;
esac
finish
