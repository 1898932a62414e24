#!/bin/sh
# gates.sh: in the first pass over a batch every ratio is 1 and so is EUR, whatever the gate; in the second it is below 1 for
# every soft gate, and 1 - clip ratio for clip.
. "$(dirname "$0")/lib.sh"
for gate in clip sigmoid erf arctan softsign none; do
    train 1 $gate objective.gate=$gate objective.clip_low=0.01 objective.clip_high=0.01
    for step in 0 1 2; do
        first=$(value $gate /pass/eur $step 0)
        second=$(value $gate /pass/eur $step 1)
        region=$(value $gate /pass/clip_ratio/region_mean $step 1)
        holds "($first - 1) ^ 2 < 1e-24" "$gate: EUR of pass 1"
        [ "$(value $gate /pass/ratio/max $step 0)" = 1 ] || fail "$gate: a ratio of pass 1 is not 1"
        holds "$(value $gate /pass/ratio/max $step 1) > 1" "$gate: the largest ratio of pass 2"
        [ "$(value $gate /pass/clip_ratio/region_mean $step 0)" = 0 ] || fail "$gate: tokens beyond the bounds in pass 1"
        holds "$region > 0 && $region < 1" "$gate: share of tokens beyond the bounds in pass 2"
        case $gate in
        clip) holds "($second + $region - 1) ^ 2 < 1e-24" "clip: EUR + clip ratio of pass 2" ;;
        none) [ "$second" = 1 ] || fail "none: EUR of pass 2 is $second" ;;
        *) holds "$second > 0 && $second < 1" "$gate: EUR of pass 2" ;;
        esac
        mean=$(value $gate /step/eur $step)
        holds "($mean - ($first + $second) / 2) ^ 2 < 1e-24" "$gate: the step's EUR is the mean of the passes"
    done
done
# The same rollouts until the parameters differ: the first step does not know the gate.
for gate in sigmoid erf arctan softsign none; do
    same clip/rollouts/step-000001.h5 $gate/rollouts/step-000001.h5 /provenance /token/ratio /token/gate_derivative
done
differ clip/rollouts/step-000003.h5 erf/rollouts/step-000003.h5 /provenance
finish
