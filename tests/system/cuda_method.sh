#!/bin/sh
# cuda_method.sh CASE: methods through the CUDA backend, on the host where there is no GPU: in fp32 the CPU's tokens and numbers, up to
# rounding; their own bits on 1, 2 and 3 ranks, on shards or not.
#   opsd: self-distillation    game: the adversarial game
#   blocks: after the first step no memory is taken from the device, whatever the method, by its evaluations and measures either
#   memory: what runs out of memory says so with its plan beside it
. "$(dirname "$0")/lib.sh"
case=$1
input=$SYSTEM_WORK/input.cfg
common="run.steps=2 checkpoint.every=1 checkpoint.keep=2 update.iterations=1 rollout.prompts_per_step=3 rollout.group_size=2
    parallel.groups_per_tile=1 run.device=cuda"
template="{prompt} is like {solution}
{prompt}"

# run RANKS NAME SETTING...: the method, of which $method says the settings.
# shellcheck disable=SC2086
run() {
    ranks=$1
    run=$2
    shift 2
    if [ "$case" = game ]; then
        job "$ranks" train game.cfg run.directory="$work/$run" $common "$@"
    else
        job "$ranks" train "$input" run.directory="$work/$run" $common run.method=opsd rollout.max_new_tokens=8 \
            "data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"answer\";solution=\"worked\";})" \
            distill.teacher_template="$template" "$@"
    fi
}

# finished RANKS NAME SETTING...
finished() {
    run "$@" || fail "$case $*: $(cat err)"
}

# The corpus and the input of the game.
game_input() {
    long_texts 8 12 >texts.jsonl
    cat >game.cfg <<END
run : { method = "adversarial"; };
model : { path = "$SYSTEM_WORK/qwen2"; };
data : { corpus = ( { path = "$work/texts.jsonl"; } ); };
prompt : { chat = "none"; template = "On: {text}"; };
adversarial : { window_tokens = 20; completion_tokens = 8; length_rule = "none"; head_learning_rate = 1e-2; };
objective : { kl_coef = 0.05; };
optimizer : { learning_rate = 1e-3; };
parallel : { threads = 1; };
END
}

game_input
run 1 probe run.steps=1 || {
    grep -q 'there is no backend "cuda"' err && {
        echo "skipped: built without CUDA"
        exit 77
    }
    fail "$case: $(cat err)"
    finish
}

# near NAME NUMBER...: the numbers of ./NAME are those of ./NAME-cpu, and the tokens the same.
near() {
    name=$1
    shift
    "$SYSTEM_TOOL" same "$name/rollouts/step-000001.h5" "$name-cpu/rollouts/step-000001.h5" /provenance logprob entropy divergence \
        logits value advantage reward loss || fail "$name: other tokens were drawn than on the CPU"
    for number in loss grad_norm "$@"; do
        a=$(value "$name" "/step/$number" 0)
        b=$(value "$name-cpu" "/step/$number" 0)
        holds "($a - $b)^2 <= (1e-4 * $b)^2" "$number of $name is $a, on the CPU $b"
    done
}

# each NAME SETTING...: on both devices, and on several ranks.
each() {
    name=$1
    shift
    finished 1 "$name" "$@"
    finished 1 "$name-cpu" "$@" run.device=cpu
    finished 2 "$name-two" "$@" rollout.answers_in_flight=1
    same_whole "$name" "$name-two"
    finished 3 "$name-three" "$@" parallel.shard=true
    same_whole "$name" "$name-three"
}

case $case in
opsd)
    distilled="distill/divergence distill/entropy_teacher distill/agreement distill/clipped_entries"
    each full distill.teacher=ema distill.ema_decay=0.5 distill.divergence=forward_kl distill.clip=0.01
    each adapter distill.top_k=5 lora.rank=4 lora.alpha=8 model.path="$SYSTEM_WORK/llama"
    # shellcheck disable=SC2086
    near full $distilled
    # shellcheck disable=SC2086
    near adapter $distilled
    ;;
game)
    judged="adversarial/d_loss adversarial/probability_written adversarial/grad_norm_generator adversarial/grad_norm_discriminator kl"
    each adapter lora.rank=4 lora.alpha=8 adversarial.pooling=mean rollout.think_tokens=3
    each full model.path="$SYSTEM_WORK/qwen3" adversarial.reward=value adversarial.input=prompt
    each reasons model.path="$SYSTEM_WORK/llama" lora.rank=4 lora.alpha=8 adversarial.reason_tokens=6 'adversarial.judge_template={prefix}|{completion}?<think>'
    # shellcheck disable=SC2086
    near adapter $judged
    # shellcheck disable=SC2086
    near full $judged
    # shellcheck disable=SC2086
    near reasons $judged adversarial/value adversarial/value_error adversarial/reason_loss adversarial/reason_entropy
    ;;
blocks)
    # settled RANKS NAME SETTING...
    settled() {
        finished "$@" run.steps=4 checkpoint.every=4
        holds "$(value "$2" /step/memory/blocks_taken 0) > 0" "$2, step 1: memory is taken"
        for step in 1 2 3; do
            [ "$(value "$2" /step/memory/blocks_taken $step)" = 0 ] || fail "$2, step $((step + 1)): memory was taken"
        done
        nvidia-smi >/dev/null 2>&1 || [ "$(value "$2" /step/memory/outside 3)" = 0 ] || fail "$2: memory is in no books"
    }
    sets="eval.sets=( { name = \"sums\"; path = \"$SYSTEM_WORK/sums.jsonl\"; prompt = \"question\"; answer = \"answer\"; limit = 12; } )"
    eval="eval.every=2 eval.samples=2 eval.pass_at=[1] eval.max_new_tokens=14"
    settled 2 opsd distill.teacher=ema distill.ema_decay=0.5
    # shellcheck disable=SC2086
    settled 1 rl $eval "$sets" run.method=rl update.rule=gxpo rollout.max_new_tokens=8
    settled 1 sft run.method=sft
    case=game
    settled 2 game lora.rank=4 lora.alpha=8 mauve.every=1 mauve.generations=4 mauve.buckets=2 rollout.think_tokens=3
    ;;
memory)
    nvidia-smi >/dev/null 2>&1 && {
        echo "skipped: a GPU has as much memory as it has, and the host as little as one likes"
        exit 77
    }
    GRADUS_HOST_MIB=2 && export GRADUS_HOST_MIB
    run 2 full_up
    [ $? = 70 ] || fail "without memory the exit status is not 70: $(cat err)"
    grep -q "no memory on the device for .* This rank holds .* MiB, most of it" err || fail "no sentence: $(cat err)"
    [ "$(grep -c '^\[0\] .* plan: a rank needs up to [0-9.]* MiB, in [a-z]*, .* scratch of the cuda backend' err)" = 1 ] || fail "no plan: $(cat err)"
    ;;
esac
finish
