#!/bin/sh
# tau.sh: objective.tau_control in whole runs: EUR comes to its target and stays, by the controller's own equation step for step, the same
# on two ranks and after a restart; its bounds; the schedule.
. "$(dirname "$0")/lib.sh"

# column RUN PATH FIRST LAST [COLUMN]: these rows of a metric, a line each.
column() {
    for row in $(seq "$3" "$4"); do
        value "$1" "$2" "$row" ${5:+"$5"}
    done
}

# controlled RUN STEPS TARGET GAIN SMOOTHING LEAST MOST [PASS]: gate/tau_pos and gate/tau_error are what the EUR of the last passes makes
# of them; the last pass has number PASS, 1 unless given.
controlled() {
    column "$1" /pass/eur 0 $(($2 - 1)) "${8:-1}" >eur.column
    column "$1" /step/gate/tau_pos 0 $(($2 - 1)) >tau.column
    column "$1" /step/gate/tau_error 0 $(($2 - 1)) >error.column
    paste eur.column tau.column error.column | awk -v target="$3" -v gain="$4" -v smoothing="$5" -v least="$6" -v most="$7" '
        function wrong(have, want) { return (have - want) ^ 2 > 1e-20 * (1 + want ^ 2) }
        BEGIN { s = 0; e = 0 }
        {
            if (wrong($2, 10 * exp(s))) { print "step " NR ": tau_pos " $2 ", expected " 10 * exp(s); bad = 1 }
            x = log((1 - $1) / (1 - target))
            e = smoothing * e + (1 - smoothing) * (x > 4 ? 4 : x < -4 ? -4 : x)
            if (wrong($3, e)) { print "step " NR ": tau_error " $3 ", expected " e; bad = 1 }
            s -= gain * e / 2
            s = s < log(least) ? log(least) : s > log(most) ? log(most) : s
        }
        END { exit bad || NR < 2 }' >told || fail "$1: $(head -n 3 told)"
}

# distance RUN FIRST LAST TARGET: mean of log((1 - EUR) / (1 - target)) over these rows.
distance() {
    column "$1" /pass/eur "$2" "$3" 1 | awk -v target="$4" '{ sum += log((1 - $1) / (1 - target)) } END { print sum / NR }'
}

eur="objective.tau_control=eur checkpoint.every=12"
# shellcheck disable=SC2086
go() {
    ranks=$1
    run=$2
    shift 2
    train "$ranks" "$run" $eur "$@"
}

steps=40
for target in 0.97 0.7; do
    go 1 eur-$target run.steps=$steps objective.eur_target=$target
    controlled eur-$target $steps $target 0.5 0.5 0.1 10
    first=$(distance eur-$target 0 1 $target)
    last=$(distance eur-$target 20 39 $target)
    echo "target $target: 1 - EUR is exp($first) times the one aimed at in steps 1 and 2, exp($last) in the last 20"
    holds "($first) ^ 2 > 0.6 ^ 2" "EUR is away from $target at first: $first"
    holds "($last) ^ 2 < 0.25 ^ 2" "EUR is at $target in the end: $last"
done
[ "$(value eur-0.7 /step/gate/tau_neg 7)" != 12 ] || fail "tau_neg stays"
ratio=$(value eur-0.7 /step/gate/tau_neg 7)/$(value eur-0.7 /step/gate/tau_pos 7)
holds "($ratio - 1.2) ^ 2 < 1e-24" "tau_neg / tau_pos stays"

# Stopped behind a checkpoint in the middle and gone on with on other ranks.
go 2 parts run.steps=17 objective.eur_target=0.7
go 3 parts run.steps=$steps objective.eur_target=0.7
same_whole eur-0.7 parts

# The other parameters.
go 1 other run.steps=8 objective.eur_target=0.3 objective.tau_gain=1.0 objective.eur_smoothing=0.2 objective.tau_scale_most=1.5
controlled other 8 0.3 1.0 0.2 0.1 1.5
holds "($(value other /step/gate/tau_pos 7) - 15) ^ 2 < 1e-20" "tau ends at its upper bound"
go 1 least run.steps=8 objective.eur_target=0.999 objective.tau_gain=1.0 objective.eur_smoothing=0 objective.tau_scale_least=0.8
controlled least 8 0.999 1.0 0 0.8 10
holds "($(value least /step/gate/tau_pos 7) - 8) ^ 2 < 1e-20" "tau ends at its lower bound"

# Of gxpo the corrective pass counts.
go 1 gxpo run.steps=6 update.iterations=1 update.rule=gxpo optimizer.learning_rate=3e-4 objective.eur_target=0.7
controlled gxpo 6 0.7 0.5 0.5 0.1 10 2
holds "($(value gxpo /step/gate/tau_pos 5) - 10) ^ 2 > 1" "tau follows the corrective pass"

# The schedule: even steps of the logarithm; a longer run says what becomes of it.
train 1 schedule run.steps=5 objective.tau_control=schedule objective.tau_scale_end=16 checkpoint.every=2
for row in 0 1 2 3 4; do
    holds "($(value schedule /step/gate/tau_pos $row) / (10 * 2 ^ $row) - 1) ^ 2 < 1e-24" "tau_pos of step $((row + 1)) of the schedule"
done
train 1 schedule run.steps=7 objective.tau_control=schedule objective.tau_scale_end=16 checkpoint.every=2
grep -q "tau is that of a run of 7 steps, as before it was that of one of 5" schedule/log.txt || fail "a longer schedule is not told"
[ "$(value schedule /step/gate/tau_error 0)" = nan ] || fail "a run without a target has an error of it"
finish
