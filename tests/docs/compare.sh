#!/bin/sh
# compare.sh ROOT GRADUS: analysis/compare.py prints of runs whose numbers compare_runs.py chose what is worked out from them by hand
# here, and analysis/gates.py draws what `gradus params --gates` tells. Skipped where Python has no h5py or matplotlib.
. "$(dirname "$0")/lib.sh"
python=$(sh "$root/jobs/packages.sh" --python) || {
    echo "skipped: no Python with h5py and matplotlib"
    exit 77
}
export MPLCONFIGDIR="$work" PYTHONDONTWRITEBYTECODE=1
"$python" "$root/tests/docs/compare_runs.py" "$work" || fail "compare_runs.py"
cd "$work" || exit 1

# compare ARGUMENT...: to ./out, blanks as one.
compare() {
    "$python" "$root/analysis/compare.py" "$@" >told 2>err || fail "compare.py $*: $(cat err)"
    sed 's/  */ /g' told >out
}
# table HEADING ROW...: the table under that heading has these rows, its head among them, and no other.
table() {
    heading=$1
    shift
    awk -v heading="$heading" '$0 == heading { inside = 1; next } /^$/ { inside = 0 } inside' out >have
    printf ' %s\n' "$@" >want
    diff want have >differences || fail "compare.py, table '$heading': $(cat differences)"
}
# refused WORDS ARGUMENT...
refused() {
    words=$1
    shift
    "$python" "$root/analysis/compare.py" "$@" >out 2>err && fail "compare.py $* is not refused"
    grep -q -e "$words" err || fail "compare.py $* says $(tail -n 1 err), '$words' expected"
}

# Accuracies of clip after 0, 2, 4, 6, 8 steps: 0.125 0.25 0.5 0.375 0.375 and 0.125 0.25 0.75 0.625 0.5, of a step 2 passes, half an
# hour, 100 tokens, 1000 positions. Of erf 0.125 0.625 0.625 0.875 0.75 and 0.125 0.625 0.75 0.625 1: 3 passes, 1 hour, 100, 1500.
compare clip-? erf-? none-1 --smooth 1 --output picture
for file in picture.png picture.pdf; do
    head -c 5 $file | grep -qE 'PNG|%PDF' || fail "compare.py draws no $file"
done
head -n 3 out >have
printf '%s\n' "gate=clip: 2 seeds (1, 2)" "gate=erf: 2 seeds (1, 2)" "gate=none: 1 seed (1)" | diff - have || fail "compare.py groups the runs otherwise"
# The best are 0.5 and 0.75 after 4 steps each, and 0.875 and 1 after 6 and 8: deviation 0.25 / sqrt(2), 0.125 / sqrt(2), 2 / sqrt(2).
table "Peak" "best value at step at step 8" \
    "gate=clip 0.625 ± 0.177 4 ± 0 0.438 ± 0.088" "gate=erf 0.938 ± 0.088 7 ± 1.414 0.875 ± 0.177" "gate=none 0.250 4 0.250"
# The mean of clip is at most 0.625, after 4 steps; that of erf is there after 2. Of clip's seeds one never is.
table "To reach 0.625, the peak of gate=clip" "steps backward passes hours tokens drawn positions trained seeds" \
    "gate=clip 4 8 2 400 4000 1 of 2" "gate=erf 2 (x2) 6 (x1.33) 2 (x1) 200 (x2) 3000 (x1.33) 2 of 2" "gate=none - - - - - 0 of 1"
table "At equal steps" "2 4 6 8" "gate=clip 0.250 ± 0.000 0.625 ± 0.177 0.500 ± 0.177 0.438 ± 0.088" \
    "gate=erf 0.625 ± 0.000 0.688 ± 0.088 0.750 ± 0.177 0.875 ± 0.177" "gate=none 0.125 0.250 0.250 0.250"
# none makes 8 passes in all; for 2 and 4 clip is evaluated after 0 and 2 steps, for 8 after 4; erf for 4 after 0, for 6 and 8 after 2.
table "At equal backward passes" "2 4 6 8" "gate=clip 0.125 ± 0.000 0.250 ± 0.000 0.250 ± 0.000 0.625 ± 0.177" \
    "gate=erf 0.125 ± 0.000 0.125 ± 0.000 0.625 ± 0.000 0.625 ± 0.000" "gate=none 0.125 0.250 0.250 0.250"
table "At equal hours" "1 2 3 4" "gate=clip 0.250 ± 0.000 0.625 ± 0.177 0.500 ± 0.177 0.438 ± 0.088" \
    "gate=erf 0.125 ± 0.000 0.625 ± 0.000 0.625 ± 0.000 0.688 ± 0.088" "gate=none 0.125 0.250 0.250 0.250"
# Shares of clip sum to 0.8 and 1.6 over 8 steps, the largest are 0.4 and 0.6; those of erf are 0.1 in the last pass, whichever it is.
# Its KL is 0.01 and 0.02 times the step.
table "Stability" "beyond the bound, mean maximum KL, mean maximum" \
    "gate=clip 0.15 ± 0.0707 0.5 ± 0.141 0.0675 ± 0.0318 0.12 ± 0.0566" "gate=erf 0.1 ± 0 0.1 ± 0 - -" "gate=none 0 0 - -"
# From steps 4 and 6, 2 and 3; none is there in step 7 alone.
table "Format learned: its reward stays at 0.9 or above" "from step seeds" "gate=clip 5 2 of 2" "gate=erf 2.5 (x2) 2 of 2" "gate=none - 0 of 1"

# Another baseline, whose peak of 0.875 clip never reaches; and a target by hand.
compare clip-? erf-? --baseline erf
table "To reach 0.875, the peak of gate=erf" "steps backward passes hours tokens drawn positions trained seeds" \
    "gate=clip - - - - - 0 of 2" "gate=erf 8 24 8 800 12000 2 of 2"
compare clip-? erf-? --target 0.6875
table "To reach 0.688" "steps backward passes hours tokens drawn positions trained seeds" \
    "gate=clip - - - - - 1 of 2" "gate=erf 4 12 4 400 6000 2 of 2"

# Of metrics of steps a value is the mean over the steps up to it: rewards are step / 8 + seed / 4. With two steps, 7.5 / 8 + 3 / 8 at
# the end, for all gates; the format is learned a step later. Of 16 and 24 passes 16 are common, 4 of clip and 2.67 of erf to a quarter.
compare clip-? erf-? --metric reward --smooth 2
table "Peak" "best value at step at step 8" "gate=clip 1.312 ± 0.177 8 ± 0 1.312 ± 0.177" "gate=erf 1.312 ± 0.177 8 ± 0 1.312 ± 0.177"
table "At equal steps" "2 4 6 8" "gate=clip 0.562 ± 0.177 0.812 ± 0.177 1.062 ± 0.177 1.312 ± 0.177" \
    "gate=erf 0.562 ± 0.177 0.812 ± 0.177 1.062 ± 0.177 1.312 ± 0.177"
table "At equal backward passes" "4 8 12 16" "gate=clip 0.562 ± 0.177 0.812 ± 0.177 1.062 ± 0.177 1.312 ± 0.177" \
    "gate=erf 0.500 ± 0.177 0.562 ± 0.177 0.812 ± 0.177 0.938 ± 0.177"
table "Format learned: its reward stays at 0.9 or above" "from step seeds" "gate=clip 6 2 of 2" "gate=erf 3.5 (x1.71) 2 of 2"

# Fine-tuning draws nothing. The mean over two sets takes 0.25 0.5 0.75 and 0 0.25 0.25, where 0.5 is first at step 4.
compare sft both --target 0.75
table "To reach 0.750" "steps backward passes hours tokens drawn positions trained seeds" \
    "method=sft, gate=clip 4 4 0.06667 0 2000 1 of 1" "method=rl, gate=absent 4 (x1) 4 (x1) 0.06667 (x1) 400 2000 (x1) 1 of 1"
compare sft --metric loss --smooth 1
table "To reach 1.000, the peak of sft" "steps backward passes hours tokens drawn positions trained seeds" "sft 1 1 0.01667 0 500 1 of 1"
compare both
table "Peak" "best value at step at step 4" "both 0.500 4 0.500"
(cd "$root/analysis" && "$python" -c '
from compare import curve_of, group_runs
import sys
print(*curve_of(group_runs(sys.argv[1:])[0].runs[0], "eval", 1).spread)' "$work/both") >errors
awk '{ for (i = 1; i <= NF; i++) good += ($i - 0.03 / sqrt(2)) ^ 2 < 1e-20 } END { exit good != 3 }' errors ||
    fail "compare.py: the error of a mean over two sets with 0.03 each is 0.03 / sqrt(2) three times, and not $(cat errors)"

# MAUVE stands at every second step, by itself: the best values are the last, 0.4 and 0.6. From step 3 on the areas are
# 2 x 0.25 + 2 x 0.35 and 2 x 0.35 + 2 x 0.55; of the reward, a straight line, over steps 6 to 8 they are 2.25 and 2.75; of clip's
# accuracies over steps 5 to 8 they are 2 x 0.375 and 2 x 0.5625.
compare game-? --metric mauve/mauve --area 6 --output game.png
grep -qx "MAUVE of the newest texts" out || fail "compare.py calls MAUVE otherwise: $(cat out)"
table "Peak" "best value at step at step 8" "game-1 0.500 ± 0.141 8 ± 0 0.500 ± 0.141"
table "Area over steps 3 to 8" "area" "game-1 1.5 ± 0.4243"
compare game-? --metric reward --area 3
table "Area over steps 6 to 8" "area" "game-1 2.5 ± 0.3536"
compare clip-? --area 4
table "Area over steps 5 to 8" "area" "clip-1 0.9375 ± 0.2652"
(cd "$root/analysis" && "$python" -c '
from curves import choose_panels, group_runs
import sys
print(*choose_panels(group_runs(sys.argv[1:])))' "$work/game-1" "$work/game-2") >have
[ "$(cat have)" = "reward adversarial/baseline adversarial/d_loss adversarial/accuracy_real adversarial/accuracy_written adversarial/probability_written adversarial/length_right mauve/mauve" ] ||
    fail "curves.py draws of the game: $(cat have)"
"$python" "$root/analysis/curves.py" game-? clip-? --output curves.png >out 2>&1 || fail "curves.py of the game: $(cat out)"
head -c 5 curves.png | grep -q PNG || fail "curves.py draws no PNG of the game"
refused "takes a number of steps from 2" clip-1 --area 1

refused "these runs have been evaluated on different ones; name one of eval/s" clip-1 both --metric eval
refused "no run has values of nothing" clip-1 --metric nothing
refused "\-\-baseline gate fits 2 of the settings: gate=clip; gate=erf" clip-1 erf-1 --baseline gate
refused "takes a number of steps from 1" clip-1 --smooth 0
compare clip-1 sft --metric reward
grep -q '^sft has no values of reward: it is left out$' err || fail "compare.py does not say what it leaves out: $(cat err)"

# What a run itself leaves of its evaluations is found: before the first step, after each.
tiny_model
"$python" "$root/jobs/quickstart_data.py" "$work" || fail "quickstart_data.py"
"$gradus" train "$root/input/quickstart_rl.cfg" model.path="$work/model" run.directory="$work/real" run.steps=2 rollout.max_new_tokens=4 \
    rollout.prompts_per_step=2 optimizer.warmup_steps=0 "data.train=( { path = \"$work/train.jsonl\"; prompt = \"question\"; answer = \"answer\"; } )" eval.every=1 \
    "eval.sets=( { name = \"sums\"; path = \"$work/test.jsonl\"; prompt = \"prompt\"; answer = \"answer\"; rule = \"answer\"; limit = 3; } )" \
    eval.samples=2 2>err || fail "a run with evaluations: $(tail -n 3 err)"
compare real
grep -q '^accuracy on sums$' out || fail "compare.py does not find the evaluations of a run: $(cat out)"
(cd "$root/analysis" && "$python" -c '
import sys
from compare import COSTS, curve_of, group_runs
run = group_runs(sys.argv[1:])[0].runs[0]
curve = curve_of(run, "eval/sums", 1)
for name in COSTS:
    print(name, *(curve.cost[name] if name != "hours" else curve.cost[name] > 0))
print(run.column("num_tokens")[0], run.column("positions").sum())' "$work/real") >have
steps= passes= hours= drawn= trained= tokens= positions=
{
    read -r steps && read -r passes && read -r hours && read -r drawn && read -r trained && read -r tokens positions
} <have || fail "compare.py reads of the run: $(cat have)"
[ "$steps" = "steps 0.0 1.0 2.0" ] && [ "$passes" = "passes 0.0 2.0 4.0" ] && [ "$hours" = "hours False True True" ] ||
    fail "compare.py reads of the run: $(cat have)"
case "$drawn/$trained" in
"drawn 0.0 $tokens "*"/trained 0.0 "*" $positions") ;;
*) fail "compare.py reads of the run: $(cat have)" ;;
esac

# --- gates ---

"$gradus" params --gates objective.tau_pos=8.0 objective.tau_neg=4.0 objective.clip_high=0.3 >gates.jsonl || fail "gradus params --gates"
cat >gates_check.py <<'END'
# By the formulas of the gate paper, in Python, f and its derivative at every ratio, and the derivative as a difference of f.
import json
import math
import sys

FORMULAS = {  # f and its derivative at x = tau (r - 1)
    "sigmoid": lambda t, r: (4 / t / (1 + math.exp(-t * (r - 1))), 1 / math.cosh(t * (r - 1) / 2) ** 2),
    "erf": lambda t, r: (math.sqrt(math.pi / 2) / t * math.erf(t * (r - 1) / math.sqrt(2)) + 1, math.exp(-((t * (r - 1)) ** 2) / 2)),
    "arctan": lambda t, r: (1 + math.atan(t * (r - 1)) / t, 1 / (1 + (t * (r - 1)) ** 2)),
    "softsign": lambda t, r: (1 + (r - 1) / math.sqrt(1 + (t * (r - 1)) ** 2), (1 + (t * (r - 1)) ** 2) ** -1.5),
    "none": lambda t, r: (r, 1.0),
}
lines = [json.loads(line) for line in open("gates.jsonl")]
assert len(lines) == 2 * (len(FORMULAS) + 1), len(lines)
for line in lines:
    assert line["ratio"] == [i / 100 for i in range(201)], line["gate"]
    for r, value, slope in zip(line["ratio"], line["value"], line["slope"]):
        if line["gate"] == "clip":
            want = (min(r, 1.3), float(r <= 1.3)) if line["advantage"] > 0 else (max(r, 0.8), float(r >= 0.8))
        else:
            want = FORMULAS[line["gate"]](8.0 if line["advantage"] > 0 else 4.0, r)
        if max(abs(value - want[0]), abs(slope - want[1])) > 1e-12:
            sys.exit(f"{line['gate']}, advantage {line['advantage']}, ratio {r}: {value}, {slope}; expected {want}")
END
"$python" gates_check.py || fail "gradus params --gates tells other numbers"
"$python" "$root/analysis/gates.py" --gradus "$gradus" --output gates objective.tau_pos=8.0 >out 2>&1 || fail "gates.py: $(cat out)"
[ "$(cat out)" = "gates.png
gates.pdf" ] || fail "gates.py says $(cat out)"
head -c 5 gates.png | grep -q PNG || fail "gates.py draws no PNG"
"$python" "$root/analysis/gates.py" --gradus "$gradus" --gates erf --output erf.pdf >out 2>&1 || fail "gates.py: $(cat out)"
[ "$(cat out)" = erf.pdf ] || fail "gates.py says $(cat out)"
"$python" "$root/analysis/gates.py" --gradus "$gradus" objective.tau_pos=-1 >out 2>err && fail "gates.py takes a tau of -1"
grep -q 'objective.tau_pos = -1 is too small' err || fail "gates.py does not say what gradus says: $(cat err)"
finish
