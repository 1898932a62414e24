#!/bin/sh
# diagnose.sh: update.diagnose_every measures and counts, and changes no bit of what the run leaves; the same numbers on any number of
# ranks, with and without shards, and after a restart; histograms hold each coordinate once.
. "$(dirname "$0")/lib.sh"
gxpo="update.iterations=1 update.rule=gxpo update.virtual_steps=4 optimizer.learning_rate=3e-4 checkpoint.every=2"

# go RANKS RUN SETTING...
# shellcheck disable=SC2086
go() {
    ranks=$1
    run=$2
    shift 2
    train "$ranks" "$run" $gxpo "$@"
}

for retention in gradient adamw; do
    set -- run.steps=5 update.retention=$retention
    go 1 plain "$@"
    go 1 one "$@" update.diagnose_every=2
    "$SYSTEM_TOOL" described one/diagnostics.h5 || fail "datasets without a description"
    same_rollouts plain one
    same plain/checkpoints/step-000005.h5 one/checkpoints/step-000005.h5 /provenance /manifest /settings
    same plain/diagnostics.h5 one/diagnostics.h5 /provenance /time/ /memory/ tokens_per_s gxpo/error_ gxpo/displacement_true /tensor/
    cmp plain/model/model.safetensors one/model/model.safetensors || fail "$retention: a diagnosed run leaves another model"
    [ "$(value one /step/update/backward_passes 4)" = 15 ] || fail "the passes of a diagnosis count"
    [ "$(value plain /step/gxpo/error_median 1)" = nan ] || fail "a run that is not diagnosed has an error"

    # Steps 2 and 4 are diagnosed.
    for row in 0 2 4; do
        [ "$(value one /step/gxpo/error_median $row)" = nan ] || fail "step $((row + 1)) is diagnosed"
    done
    for row in 1 3; do
        median=$(value one /step/gxpo/error_median $row)
        relative=$(value one /step/gxpo/error_relative $row)
        cosine=$(value one /step/gxpo/error_cosine $row)
        holds "$median > 0 && $relative > 0 && $relative < 2 && $cosine > 0 && $cosine < 1" "$retention: errors of step $((row + 1))"
        holds "($(value one /step/gxpo/error_repositioned $row) - 0.5 * $median) ^ 2 < 1e-30" "the error at the reposition"
        at=$((row / 2))
        [ "$(value one /tensor/step $at)" = $((row + 1)) ] || fail "/tensor/step of row $at is $(value one /tensor/step $at)"
        all=$("$SYSTEM_TOOL" sum one/diagnostics.h5 /tensor/scale_histogram $at)
        active=$("$SYSTEM_TOOL" sum one/diagnostics.h5 /tensor/ratio_histogram $at)
        parameters=$(sed -n 's/.*run: method = rl, parameters = \([0-9]*\),.*/\1/p' one/log.txt)
        [ "$all" = "$parameters" ] || fail "$retention: $all scales are counted, of $parameters parameters"
        inactive=$(value one /step/gxpo/inactive_fraction $row)
        holds "(1 - $active / $parameters - $inactive) ^ 2 < 1e-18" "$retention: ratios of active coordinates"
    done

    # Ranks, shards, a restart between two diagnoses.
    go 2 two "$@" update.diagnose_every=2
    same_whole one two
    go 3 three run.steps=3 update.retention=$retention update.diagnose_every=2 parallel.shard=true
    go 2 three "$@" update.diagnose_every=2 parallel.shard=true
    same_whole one three
    rm -rf plain one two three
done

# A longer run takes over what was counted.
go 1 longer run.steps=4 update.diagnose_every=2
first=$("$SYSTEM_TOOL" sum longer/diagnostics.h5 /tensor/ratio_histogram 0)
go 1 longer run.steps=6 update.diagnose_every=2
[ "$("$SYSTEM_TOOL" sum longer/diagnostics.h5 /tensor/ratio_histogram 0)" = "$first" ] || fail "a longer run loses what was counted"
[ "$(value longer /tensor/step 2)" = 6 ] || fail "a longer run counts no more"
finish
