#!/bin/sh
# lookahead.sh CASE: the rules that look ahead, on the real model.
#   bits: each kind leaves the same on 1, 2 and 3 ranks, with and without shards    numbers: what a step reports
#   window: stopped in the middle of the shut-off test's window, and behind its end, a run goes on to the bit
. "$(dirname "$0")/lib.sh"
once="update.iterations=1 parallel.groups_per_tile=1 checkpoint.every=3"
gxpo="$once update.rule=gxpo"
sfpo="$once update.rule=sfpo"

# run RANKS NAME SETTING...: whose first word may be several settings.
# shellcheck disable=SC2086
run() {
    ranks=$1
    run=$2
    several=$3
    shift 3
    train "$ranks" "$run" $several "$@"
}

same_run() {
    same_numbers "$1" "$2"
    same "$1/checkpoints/step-000003.h5" "$2/checkpoints/step-000003.h5" /provenance /manifest /settings
}

# near A B WHAT: equal to rounding.
near() {
    holds "($1) - ($2) < 1e-9 * (1 + ($2)) && ($2) - ($1) < 1e-9 * (1 + ($2))" "$3: $1 and $2"
}

case $1 in
bits)
    the_same "$gxpo model.path=$SYSTEM_WORK/qwen3 optimizer.weight_decay=0.1"
    the_same "$gxpo update.virtual_steps=5 update.retention=adamw update.optimizer_state=transactional parallel.tokens_per_pass=60"
    the_same "$gxpo update.virtual_steps=4 update.activity_kind=relative model.precision=bf16 objective.kl_coef=0.01"
    the_same "$gxpo update.retention=adamw lora.rank=4 lora.alpha=8 model.path=$SYSTEM_WORK/llama"
    the_same "$sfpo update.mini_batches=2"
    ;;
numbers)
    run 1 run "$gxpo run.device=check run.steps=1"
    for pass in 0 1 2; do
        name=$(echo g0 g1 gslow | cut -d' ' -f$((pass + 1)))
        near "$(of gxpo/norm_$name)" "$(value run /pass/grad_norm 0 $pass)" "the norm of pass $pass"
    done
    near "$(of gxpo/displacement_ratio)" "$(of gxpo/displacement_k) / $(of gxpo/displacement_2)" "the ratio of displacements"
    near "$(of gxpo/multiplier)" "0.5 * $(of gxpo/displacement_ratio)" "the multiplier"
    holds "$(of update/backward_passes) == 3 && $(of update/optimizer_steps) == 3 && $(of gxpo/active) == 1 && $(of update/fallback) == 0" "a step counts"
    holds "$(of gxpo/scale_mean) >= 1 && $(of gxpo/scale_max) <= 2.5 && $(of gxpo/scale_mean) <= $(of gxpo/scale_max)" "scales"
    holds "$(of gxpo/cos_g0_g1) < 1 && $(of gxpo/cos_g0_gslow) < 1 && $(of gxpo/cos_g0_g1) > -1" "cosines"
    holds "$(of gxpo/changed_fraction) > 0.5 && $(of gxpo/inactive_fraction) < 1" "fractions"

    # At a small rate the two gradients are nearly one, the place lies on a line, and hardly a weight of bf16 changes.
    run 1 small "$gxpo run.steps=1 optimizer.learning_rate=1e-7 model.precision=bf16"
    holds "$(value small /step/gxpo/cos_g0_g1 0) > 0.9999" "gradients at a small rate"
    grep -q "retention ratios are noise" small/log.txt || fail "no word of noise in small/log.txt"
    ! grep -q "retention ratios are noise" run/log.txt || fail "a word of noise in run/log.txt"

    # LoRA at first: B = 0, so A has no gradient, and its coordinates are inactive.
    run 1 lora "$gxpo run.steps=1 lora.rank=4 lora.alpha=8"
    holds "$(value lora /step/gxpo/inactive_fraction 0) > 0.2" "A of an adapter at first is inactive"

    # As good as the rule single where the way is 0 long and the optimizer's state is taken back.
    run 1 nowhere "$gxpo update.optimizer_state=transactional update.reposition=0"
    run 1 single "$once"
    cmp nowhere/model/model.safetensors single/model/model.safetensors || fail "a way of 0 is not the rule single"
    # Three plain steps where no more than the two are foretold.
    run 1 three "$once update.iterations=3"
    run 1 two "$gxpo update.virtual_steps=2 update.reposition=1 update.ratio_limit=[-1e30,1e30] update.scale_limit=[-1e30,1e30]"
    cmp three/model/model.safetensors two/model/model.safetensors || fail "two steps and one are not three"

    # A gradient that is not finite: on all ranks the ordinary step, or none.
    wild="run.steps=2 optimizer.learning_rate=1000 optimizer.weight_decay=1 optimizer.max_skipped=100"
    for rule in "$gxpo" "$gxpo update.optimizer_state=transactional" "$sfpo update.mini_batches=2"; do
        run 1 wild "$rule $wild"
        run 3 wild-3 "$rule $wild" parallel.shard=true
        same_numbers wild wild-3
        holds "$(value wild /step/update/fallback 0) == 1" "$rule falls back"
        rm -rf wild wild-3
    done

    # Equal rewards give no gradient: one pass, whose ratio is 1 in the line of the step as in the file.
    run 1 equal "$gxpo run.steps=1" 'reward.parts=({name="length";weight=0.0})'
    holds "$(value equal /step/update/fallback 0) == 1 && $(value equal /step/update/backward_passes 0) == 1" "equal rewards"
    grep -q "step = 1/1, .*, eur_last_pass = 1.000," equal/log.txt || fail "the line of a step that fell back: $(grep step equal/log.txt)"

    # The memory plan knows what is kept: 8 bytes a parameter, 12 with directions, 8 more with moments.
    job 1 plan "$SYSTEM_WORK/input.cfg" run.directory="$work/plan" $gxpo update.retention=adamw update.optimizer_state=transactional || fail "plan: $(cat err)"
    parameters=$(sed -n 's/.*, \([0-9]*\) of them trained.*/\1/p' out)
    kept=$(sed -n 's/^  update rule  *\([0-9.]*\) .*/\1/p' out)
    holds "$kept > 20 * $parameters / 1048576 - 0.06 && $kept < 20 * $parameters / 1048576 + 0.06" "the plan has $kept MiB for the rule"
    ;;
window)
    for rule in "$gxpo" "$sfpo"; do
        settings="$rule checkpoint.every=2 update.shutoff_window=4 update.shutoff_threshold=0.5 update.shutoff_sides=two"
        run 1 whole "$settings" run.steps=14
        run 1 parts "$settings" run.steps=3
        run 3 parts "$settings" run.steps=5 parallel.shard=true
        run 2 parts "$settings" run.steps=12
        run 1 parts "$settings" run.steps=14
        same_whole whole parts
        name=$(echo "$rule" | sed 's/.*update.rule=//')
        cost=$([ "$name" = gxpo ] && echo 3 || echo 4)
        active=0
        for step in $(seq 0 13); do
            active=$((active + $(value whole "/step/$name/active" "$step")))
        done
        [ $active -ge 4 ] && [ $active -lt 14 ] || fail "$name is shut off behind $active steps of 14"
        near "$(value whole /step/update/backward_passes 13)" "$((cost * active + 14 - active))" "backward passes of $name"
        rm -rf whole parts
    done
    ;;
esac
finish
