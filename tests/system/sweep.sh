#!/bin/sh
# sweep.sh: gradus sweep makes the runs of a design and reads them. What a run comes to is chosen here, by a parameter that is a metric
# as well: the table of the adversarial note (algorithms.md 7.2) gives its effects and its next run; a design with repetitions, words
# and the smallest as its goal gives what is worked out by hand; what cannot be a design or its result is refused.
. "$(dirname "$0")/lib.sh"

# says PATTERN: a line of ./told, blanks as one.
says() {
    grep -qE -e "^ ?$1\$" told || fail "gradus sweep does not say '$1': $(cat told)"
}
# sweep ARGUMENT...: to ./told.
sweep() {
    job 1 sweep "$@" || fail "gradus sweep $*: $(ours)"
    sed 's/  */ /g; s/ $//' out >told
}
refused() {
    words=$1
    shift
    job 1 sweep "$@" && fail "gradus sweep $* is not refused"
    ours | grep -q -e "$words" || fail "gradus sweep $* says $(ours), '$words' expected"
}
# finish_run N VALUE: run N of the sweep in $1 comes to VALUE.
come_to() {
    job 1 train "$1/run-$2.cfg" objective.tau_pos="$3" || fail "run $2 of $1: $(ours)"
}

# --- the note: levels of its three rates; runs 00 to 04 stand at other places here ---

{
    sed 's/steps = 3/steps = 1/; s/learning_rate = 1e-3;/learning_rate = 1e-5; epsilon = 2e-5;/; s/gate = "erf";/gate = "erf"; tau_neg = 1.0;/
        s/max_new_tokens = 40/max_new_tokens = 4/; s/iterations = 2/iterations = 1/' "$SYSTEM_WORK/input.cfg" |
        sed "s|\"qwen2\"|\"$SYSTEM_WORK/qwen2\"|; s|\"sums.jsonl\"|\"$SYSTEM_WORK/sums.jsonl\"|; s|run : {|run : { directory = \"note\";|"
    echo 'sweep : { factors = ( { name = "optimizer.learning_rate"; low = "5e-6"; high = "2e-5"; },'
    echo '{ name = "optimizer.epsilon"; low = "5e-6"; high = "1e-4"; }, { name = "objective.tau_neg"; low = "0.1"; high = "10"; } );'
    echo 'generators = [ "C=AB" ]; metric = "gate/tau_pos"; };'
} >note.cfg
sweep note.cfg --dry-run
[ ! -e note ] || fail "--dry-run writes"
sweep note.cfg
says 'design 2\^\(3-1\): 4 points, resolution 3, I = ABC'
says '5 runs: 4 points x 1, and 1 at the centre'
says 'A = BC'
says 'C = AB'
says '0 - - \+ 0'
says '3 \+ \+ \+ 0'
says '4 0 0 0 0'
[ "$(sed -n 2p note/runs.txt)" = "optimizer.learning_rate=5e-6 optimizer.epsilon=5e-6 objective.tau_neg=10 run.seed=0" ] ||
    fail "runs.txt: $(cat note/runs.txt)"
# A line of the array is the same run as its input file.
line=0
grep -v '^#' note/runs.txt | while read -r a b c seed; do
    for name in optimizer.learning_rate optimizer.epsilon objective.tau_neg run.seed run.directory; do
        "$GRADUS" params $name --input note/run-$line.cfg
    done >one
    for name in optimizer.learning_rate optimizer.epsilon objective.tau_neg run.seed run.directory; do
        "$GRADUS" params $name --input note/design.cfg "$a" "$b" "$c" "$seed" run.directory="$work/note/run-$line"
    done >two
    cmp -s one two || echo "$line"
    line=$((line + 1))
done >differ
[ ! -s differ ] || fail "lines of runs.txt are not the runs of their input files: $(cat differ)"

refused 'run 0 of the sweep: .*note/run-0/diagnostics.h5.*cannot be opened' note.cfg --results
come_to note 0 0.075
come_to note 1 0.073
come_to note 2 0.072
come_to note 3 0.119
come_to note 4 0.090
sweep note/design.cfg --results
says '3 \+ \+ \+ 0 0.119'
says 'A optimizer.learning_rate 0.0225 = BC'
says 'B optimizer.epsilon 0.0215 = AC'
says 'C objective.tau_neg 0.0245 = AB'
says 'mean of the factorial points 0.08475, of the centre 0.09, curvature -0.00525'
says 'no point is repeated: there are no standard errors'
says 'A optimizer.learning_rate 1.3776 2.59[0-9]*e-05 3e-05'
says 'B optimizer.epsilon 1.3163 0.000166[0-9]* 0.0002'
says 'C objective.tau_neg 1.5000 31.6228 30.0'
for want in optimizer.learning_rate=3e-05 optimizer.epsilon=0.0002 objective.tau_neg=30.0 run.directory="$work/note/ascent"; do
    have=$("$GRADUS" params "${want%%=*}" --input note/ascent.cfg)
    [ "$have" = "${want#*=}" ] || fail "ascent.cfg has ${want%%=*} = $have, expected ${want#*=}"
done
sweep note/design.cfg --results sweep.digits=2 sweep.step=1.0
says 'C objective.tau_neg 1.0000 10 10.0'
says 'A optimizer.learning_rate 0.9184 1.88[0-9]*e-05 1.9e-05'

# --- words, a linear factor, repetitions and no centre: values 4 and 6, 1 and 3 at the other gate, 8 and 8, 3 and 7 ---

sed 's|"note"|"other"|; s/sweep : .*/sweep : { factors = ( { name = "objective.gate"; low = "erf"; high = "arctan"; },/
    s/{ name = "optimizer.eps.*/{ name = "rollout.top_k"; low = "1"; high = "9"; scale = "linear"; } );/
    s/generators.*metric/repeats = 2; centre_points = 0; goal = "minimum"; metric/; s/max_new_tokens = 4;/max_new_tokens = 4; top_k = 2;/' note.cfg >other.cfg
sweep other.cfg
says 'A objective.gate erf arctan words'
says 'design 2\^2, full: 4 points, no aliases'
says '8 runs: 4 points x 2, and 0 at the centre'
run=0
for value in 4 6 1 3 8 8 3 7; do
    come_to other $run $value
    run=$((run + 1))
done
sweep other.cfg --results
# Means 5, 2, 8, 5. s^2 = (2 + 2 + 0 + 8) / 4 = 3; the error of an effect is 2 sqrt(3 / 8).
says 'A objective.gate -3 1.22 -2.45'
says 'B rollout.top_k 3 1.22 2.45'
says 'AB 0 1.22 0.00'
says 'mean of the factorial points 5'
says 'standard deviation of a run 1.73, by 4 degrees of freedom'
says 'steepest descent coded exact next'
says 'A objective.gate arctan'
says 'B rollout.top_k -1.5000 0.5 0'
[ "$("$GRADUS" params run.seed --input other/run-1.cfg)" = 1 ] || fail "the second repetition has the seed of the first"

# --- when the ascent may lead nowhere: it says so where there are errors to tell by ---

if grep -q '^doubt' told; then fail "a clear effect is doubted: $(grep '^doubt' told)"; fi
sed 's|"note"|"third"|; s/generators.*metric/centre_points = 3; metric/; s/{ name = "optimizer.eps.*/{ name = "rollout.top_k"; low = "1"; high = "9"; } );/
    s/max_new_tokens = 4;/max_new_tokens = 4; top_k = 3;/' note.cfg >third.cfg
sweep third.cfg
# values VALUE...: of the four points and the centre.
values() {
    run=0
    for value in "$@"; do
        job 1 train --fresh third/run-$run.cfg objective.tau_pos="$value" || fail "run $run of third: $(ours)"
        run=$((run + 1))
    done
    sweep third.cfg --results
}
values 1 2 3 6 8.9 9 9.1   # s = 0.1: A 2, B 3, AB 1 with error 0.1; curvature 3 - 9
[ "$(grep -c '^doubt' told)" = 2 ] || fail "two doubts expected: $(cat told)"
says 'doubt: factors act together, .*'
says 'doubt: the curvature is more than three errors: .*'
values 1 1.2 1.4 1.7 0.2 1.2 2.2   # s = 1, the error of an effect too
[ "$(grep '^doubt' told)" = "doubt: no factor's effect is twice its error: the ascent follows noise" ] || fail "noise: $(cat told)"

# --- what is refused ---

refused 'other is another design\|other/design.cfg is another design: sweep.repeats is 2 there and 1 here' other.cfg sweep.repeats=1
job 1 train other/run-0.cfg --fresh objective.gate=sigmoid || fail "run 0 with another gate: $(ours)"
refused 'run 0 of the sweep: it had objective.gate = "sigmoid", where the design has "erf"' other.cfg --results
refused 'run 0 of the sweep: it has done 1 of 2 steps' note.cfg run.steps=2 --results
refused 'run 0 of the sweep: it has no metric nothing' note.cfg --results sweep.metric=nothing
refused 'run 0 of the sweep: it has one value of gate/tau_pos in these steps, and an area takes two' note.cfg --results sweep.form=area
refused 'the next point cannot be run: .*; take a smaller sweep.step' note.cfg --results sweep.step=100
refused 'sweep takes --results or --dry-run' note.cfg --results --dry-run
refused 'has no sweep.factors' "$SYSTEM_WORK/input.cfg" run.directory="$work/none"
factor() {
    words=$1
    factors=$2
    shift 2
    refused "$words" note.cfg run.directory="$work/none" sweep.generators='()' "sweep.factors=( $factors )" "$@"
}
factor 'sweep.factors\[0\], rollout.topp: there is no parameter rollout.topp' '{ name = "rollout.topp"; low = "1"; high = "2"; }'
factor 'sweep.factors\[0\], run.seed: the sweep sets it itself' '{ name = "run.seed"; low = "1"; high = "2"; }'
factor 'optimizer.learning_rate = 5000 is too large; the most is' '{ name = "optimizer.learning_rate"; low = "1e-6"; high = "5000"; }'
factor 'low = 0.1 is not below high = 1e-06' '{ name = "optimizer.learning_rate"; low = "0.1"; high = "1e-6"; }'
factor 'the value in this file, is 1e-05, which is not between low = 0.001 and high = 0.1' '{ name = "optimizer.learning_rate"; low = "1e-3"; high = "0.1"; }'
factor 'low = 0 has no logarithm: write scale = "linear"' '{ name = "objective.kl_coef"; low = "0"; high = "0.1"; }'
factor 'between "clip" and "erf" there is no centre' '{ name = "objective.gate"; low = "clip"; high = "erf"; }'
factor 'objective.gate = "nogate" is not known' '{ name = "objective.gate"; low = "nogate"; high = "erf"; }'
factor 'scale is log or linear' '{ name = "objective.tau_neg"; low = "0.5"; high = "2"; scale = "square"; }'
factor 'it is a factor already' '{ name = "objective.tau_neg"; low = "0.5"; high = "2"; }, { name = "objective.tau_neg"; low = "0.1"; high = "3"; }'
factor 'a value with blanks has no place' '{ name = "prompt.system"; low = "a b"; high = "c"; }'
factor 'clip_high: objective.clip_dual = 3 is not above 1 + objective.clip_high = 5' '{ name = "objective.clip_high"; low = "0.1"; high = "4"; }' \
    objective.gate=clip objective.clip_dual=3
# Each value suits the centre, and two of them do not suit each other.
factor 'run 1 of the sweep: .*clip_dual' '{ name = "objective.clip_high"; low = "0.1"; high = "1.9"; },
    { name = "objective.clip_dual"; low = "1.5"; high = "4"; }' objective.gate=clip objective.clip_dual=3
refused 'the generators make I = AC' note.cfg run.directory="$work/none" 'sweep.generators=[ "C=A" ]'
[ ! -e none ] || fail "a refused design leaves $(ls none)"
finish
