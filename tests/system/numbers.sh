#!/bin/sh
# numbers.sh: numbers that are very large are summed, those that are not finite are named.
. "$(dirname "$0")/lib.sh"

# A gradient of any size that is finite is summed, with the same bits on any number of ranks; `fast` gives the same norm.
large='run.steps=1 objective.kl_coef=1e6 objective.kl_estimator="k2" optimizer.learning_rate=1 update.iterations=3'
train 1 exact $large
train 2 two $large
train 1 fast $large 'parallel.reduction="fast"'
same_numbers exact two
[ "$(value exact /step/update/skipped 0)" = 0 ] || fail "a finite gradient was skipped"
holds "$(value exact /step/gradient/rescaled 0) > 0" "the large gradient was repeated at another scale"
for pass in 1 2; do
    norm=$(value exact /pass/grad_norm 0 $pass)
    fast=$(value fast /pass/grad_norm 0 $pass)
    holds "$norm > 1e8 && $norm / $fast < 1.02 && $fast / $norm < 1.02" "grad_norm of pass $pass, exact $norm, fast $fast"
done
finish
