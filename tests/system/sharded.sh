#!/bin/sh
# sharded.sh CASE: with parallel.shard, on any number of ranks, a run leaves the bits of a run without it; so do gradients that are
# repeated at another scale, and steps that are skipped.
. "$(dirname "$0")/lib.sh"

# run RANKS NAME SETTING...: a run of the case.
run() {
    ranks=$1
    run=$2
    shift 2
    # shellcheck disable=SC2086
    train "$ranks" "$run" $settings "$@"
}

# same_run A B: everything that two runs leave, but for times, memory, and the settings that may differ.
same_run() {
    [ ! -d "$1/rollouts" ] || same_rollouts "$1" "$2"
    same_numbers "$1" "$2"
    same "$1/checkpoints/step-000003.h5" "$2/checkpoints/step-000003.h5" /provenance /manifest /settings
    for file in model/model.safetensors adapter/adapter_model.safetensors; do
        [ ! -f "$1/$file" ] || cmp "$1/$file" "$2/$file" || fail "$file of $1 and $2 differ"
    done
}

# Tiles of one group, so that 3 and 4 ranks have unequal shares of 6; passes of 60 tokens, so that tiles have several microbatches.
input=$SYSTEM_WORK/input.cfg
settings="checkpoint.every=3 parallel.groups_per_tile=1"
case $1 in
full) settings="$settings model.path=$SYSTEM_WORK/llama parallel.tokens_per_pass=60 objective.kl_coef=0.01" ;;
parts) settings="$settings model.path=$SYSTEM_WORK/qwen3 update.mini_batches=2 optimizer.weight_decay=0.1" ;;
lora) settings="$settings lora.rank=4 lora.alpha=8 parallel.tokens_per_pass=60" ;;
bf16) settings="$settings model.precision=bf16" ;;
sft) settings="$settings run.method=sft run.steps=3 data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"worked\";})" ;;
large) settings="$settings objective.kl_coef=1e6 objective.kl_estimator=k2 optimizer.learning_rate=1 update.iterations=3" ;;
esac

run 1 one
[ "$1" != large ] || holds "$(value one /step/gradient/rescaled 0) > 0" "the large gradient was repeated at another scale"
for ranks in 2 3 4; do
    case $1-$ranks in
    parts-4 | bf16-4 | sft-4 | large-4) continue ;; # the same as on 3, in more time
    esac
    # On 3 ranks each gradient is brought to its owners before the next is computed, else beside it.
    overlap=true
    [ "$ranks" != 3 ] || overlap=false
    run "$ranks" "shard-$ranks" parallel.shard=true parallel.overlap=$overlap
    same_run one "shard-$ranks"
done

if [ "$1" = full ]; then
    # One rank has nothing to share; a sum in floating point depends on the ranks, but not by much.
    run 1 alone parallel.shard=true
    same_run one alone
    for shard in true false; do
        run 3 fast parallel.shard=$shard parallel.reduction=fast run.steps=1
        exact=$(value one /pass/grad_norm 0 0) fast=$(value fast /pass/grad_norm 0 0)
        holds "$fast != 0 && $exact / $fast < 1.0001 && $fast / $exact < 1.0001" "the norm of a fast sum, $fast, is that of the exact one, $exact"
        rm -rf fast
    done

    # What is on its way takes memory, which the plan knows.
    for overlap in true false; do
        "$GRADUS" plan "$input" $settings run.directory="$work/planned" --ranks 2 parallel.shard=true parallel.overlap=$overlap >plan.txt ||
            fail "plan: overlap $overlap"
        grep -q 'gradient of one layer, on its way' plan.txt && there=true || there=false
        [ $there = $overlap ] || fail "the plan with parallel.overlap=$overlap: a gradient on its way is there: $there"
    done

    # Steps without a gradient are skipped by all ranks.
    skips="run.steps=1 optimizer.learning_rate=1000 optimizer.weight_decay=1 update.iterations=3"
    run 1 skips $skips
    run 2 skips-2 $skips parallel.shard=true
    same_numbers skips skips-2
    holds "$(value skips /step/update/skipped 0) > 0" "steps were skipped"
fi
finish
