#!/bin/sh
# analysis.sh ROOT GRADUS: the scripts of analysis/ read the files of a small run, and jobs/quickstart_data.py makes data that it can
# run on. Skipped where Python has no h5py or matplotlib.
. "$(dirname "$0")/lib.sh"
python=$(sh "$root/jobs/packages.sh" --python) || {
    echo "skipped: no Python with h5py and matplotlib"
    exit 77
}
export MPLCONFIGDIR="$work" PYTHONDONTWRITEBYTECODE=1
tiny_model
"$python" "$root/jobs/quickstart_data.py" "$work" || fail "quickstart_data.py"
sed 's/+.*//' "$work/test.jsonl" | grep -q . || fail "no problem is kept apart"
for file in worked train; do
    sed -n 's/.*\("[0-9]*+[0-9]*=\).*/\1/p' "$work/test.jsonl" | grep -qFf - "$work/$file.jsonl" &&
        fail "$file.jsonl holds a problem of test.jsonl"
done

# run NAME INPUT SETTING...: three steps of one of the quickstart's halves.
run() {
    name=$1
    input=$2
    shift 2
    "$gradus" train "$root/input/$input" model.path="$work/model" run.directory="$work/$name" run.steps=3 rollout.max_new_tokens=8 \
        optimizer.warmup_steps=0 rollout.prompts_per_step=4 "$@" 2>"$work/err" || fail "gradus train $input: $(cat "$work/err")"
}
run sft quickstart_sft.cfg "data.train=( { path = \"$work/worked.jsonl\"; prompt = \"question\"; answer = \"worked\"; } )"
sums="data.train=( { path = \"$work/train.jsonl\"; prompt = \"question\"; answer = \"answer\"; } )"
run rl quickstart_rl.cfg "$sums"
# Two settings with two seeds each; the rate is so large that the gates differ. Any text has a reward: what a random model writes
# is another text on another processor.
for seed in 1 2; do
    for gate in erf clip; do
        run $gate-$seed quickstart_rl.cfg "$sums" run.seed=$seed objective.gate=$gate run.steps=5 optimizer.learning_rate=0.01 \
            "reward.parts=({name=\"format\";},{name=\"length\";})" output.rollouts_every=$seed
    done
done

# draws PICTURE ARGUMENT...
draws() {
    picture=$work/$1
    shift
    "$python" "$root/analysis/curves.py" "$@" --output "$picture" >"$work/out" 2>&1 || fail "curves.py $*: $(cat "$work/out")"
    [ "$(head -c 4 "$picture" | tail -c 3)" = PNG ] || fail "curves.py $* draws no PNG"
}
# With rewards the picture shows them, without it shows the loss; each for the settings that have it.
panels=$(cd "$root/analysis" && "$python" -c '
import sys
from curves import choose_panels, group_runs
for run in sys.argv[1:]:
    print(*choose_panels(group_runs([run])))
print(*(f"{metric}:{len(groups)}" for metric, groups in choose_panels(group_runs(sys.argv[1:])).items()))
' "$work/rl" "$work/sft")
[ "$panels" = "reward rewards/answer/mean rewards/format/mean pass/eur entropy completions/mean_length
loss entropy grad_norm
reward:1 rewards/answer/mean:1 rewards/format/mean:1 pass/eur:1 entropy:2 completions/mean_length:1 loss:1 grad_norm:1" ] ||
    fail "curves.py chooses other panels: $panels"
draws rl.png "$work/rl"
draws both.png "$work/rl" "$work/sft"
draws seeds.png "$work"/erf-? "$work"/clip-?
draws some.png "$work/rl/diagnostics.h5" --metrics pass/eur time/step --smooth 2
"$python" "$root/analysis/curves.py" "$work/rl" --metrics nothing --output "$work/no.png" 2>"$work/err" && fail "curves.py draws an unknown metric"
grep -q 'no run has values of nothing' "$work/err" || fail "curves.py does not say what is missing: $(cat "$work/err")"

# numbers RUN EXPRESSION FROM TO: the mean over these steps of what a sed expression takes out of each line of metrics.jsonl.
numbers() {
    sed -n "$2" "$work/$1/metrics.jsonl" | sed -n "$3,$4p" | awk '{ sum += $1 } END { printf "%.12g", sum / NR }'
}
entropy='s/.*"entropy": \([0-9.e+-]*\), "eur".*/\1/p'
loss='s/.*"loss": \([0-9.e+-]*\),.*"pass".*/\1/p'
last_eur='s/.*"pass": {.*"eur": \[[^]]*, \([0-9.e+-]*\)\].*/\1/p'

# summary ARGUMENT...: to $work/out.
summary() {
    "$python" "$root/analysis/summary.py" "$@" >"$work/out" 2>&1 || fail "summary.py $*: $(cat "$work/out")"
}
# says PATTERN WHAT
says() {
    grep -qE -e "$1" "$work/out" || fail "summary.py: $2, '$1' expected: $(cat "$work/out")"
}
# Two seeds: mean and half the difference times the square root of two.
spread_of() {
    awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; printf "%.3f . %.3f", (a + b) / 2, (d < 0 ? -d : d) / sqrt(2) }'
}

# Of five steps the windows are two and two, whatever --steps wants; mean and spread are those of metrics.jsonl.
summary "$work/erf-1" "$work/erf-2"
says '^erf-1: 2 seeds \(1, 2\)$' "the seeds are not told"
says '^mean over +steps 1 to 2 +steps 4 to 5$' "the windows are others"
first=$(spread_of "$(numbers erf-1 "$last_eur" 1 2)" "$(numbers erf-2 "$last_eur" 1 2)")
last=$(spread_of "$(numbers erf-1 "$last_eur" 4 5)" "$(numbers erf-2 "$last_eur" 4 5)")
says "^effective update ratio, last pass +$first +$last\$" "EUR of the last pass is another"
first=$(spread_of "$(numbers erf-1 "$entropy" 1 2)" "$(numbers erf-2 "$entropy" 1 2)")
says "^entropy \[nat\] +$first +" "the entropy is another"
summary "$work"/erf-? "$work"/clip-? --steps 1
says '^  gate=erf +step 1 +step 5$' "the windows are others"
says "^  gate=clip +$(spread_of "$(numbers clip-1 "$last_eur" 1 1)" "$(numbers clip-2 "$last_eur" 1 1)") +" "EUR of the clip is another"
cp -R "$work/erf-1" "$work/again"
summary "$work/erf-1" "$work/again"
says 'again repeats .*erf-1, with the same seed' "a repetition counts as a seed"
summary "$work/sft"
says "^loss +$(numbers sft "$loss" 1 1 | awk '{ printf "%.3f", $1 }') +$(numbers sft "$loss" 3 3 | awk '{ printf "%.3f", $1 }')\$" \
    "the loss is another"

# Accuracies are those of the answers given.
cat >"$work/before.jsonl" <<'END'
{"answer": "7", "completions": [{"text": "<think>3+4=7</think><answer>8</answer>"}, {"text": "7"}]}
{"answer": "9", "completions": [{"text": "<answer>1</answer><answer> 9 </answer>"}, {"text": "<answer>9"}]}
END
sed 's/8</7</' "$work/before.jsonl" >"$work/after.jsonl"
summary "$work/rl" --before "$work/before.jsonl" --after "$work/after.jsonl" --steps 3 --show 2
says '^  answer accuracy +0.250 +0.500 +4 answers' "the accuracies are others"
says '^  before  <think>3\+4=7</think><answer>8</answer>$' "an answer before is not shown"
says '^  after   <think>3\+4=7</think><answer>7</answer>$' "an answer after is not shown"
says '^  after   <answer>1</answer><answer> 9 </answer>$' "the second answer is not shown"

# --- compare.py, gxpo.py ---

# Of runs of five steps and ten passes; what it makes of numbers is tested by compare.sh.
"$python" "$root/analysis/compare.py" "$work"/erf-? "$work"/clip-? --smooth 3 --output "$work/compare.png" >"$work/out" 2>&1 ||
    fail "compare.py: $(cat "$work/out")"
[ "$(head -c 4 "$work/compare.png" | tail -c 3)" = PNG ] || fail "compare.py draws no PNG"
for heading in "Peak" "At equal backward passes" "At equal hours" "At equal tokens drawn" "Stability" "Format learned: .*"; do
    grep -qx "$heading" "$work/out" || fail "compare.py has no table '$heading': $(cat "$work/out")"
done
grep -qE "^ +1 +2 +3 +5\$" "$work/out" || fail "compare.py takes other places in steps: $(cat "$work/out")"
grep -qE "^ +2 +5 +7 +10\$" "$work/out" || fail "compare.py takes other places in passes: $(cat "$work/out")"

# The tables of GXPO are those of metrics.jsonl; SFPO stands in the budget alone. The threshold is so low that both end soon.
ahead="reward.parts=({name=\"length\";}) update.iterations=1 optimizer.learning_rate=0.003 run.steps=8 update.shutoff_window=2 update.shutoff_threshold=0.01"
for seed in 1 2; do
    # shellcheck disable=SC2086
    run gxpo-$seed quickstart_rl.cfg "$sums" run.seed=$seed update.rule=gxpo update.virtual_steps=4 update.diagnose_every=2 $ahead
done
# shellcheck disable=SC2086
run sfpo quickstart_rl.cfg "$sums" update.rule=sfpo $ahead
"$python" "$root/analysis/gxpo.py" "$work"/gxpo-? "$work/sfpo" --output "$work/gxpo.png" >"$work/out" 2>&1 || fail "gxpo.py: $(cat "$work/out")"
[ "$(head -c 4 "$work/gxpo.png" | tail -c 3)" = PNG ] || fail "gxpo.py draws no PNG"
# column NAME RUN: the values of a metric.
column() {
    sed -n "s|.*[{ ]\"$1\": \([0-9.e+-]*\),.*|\1|p" "$work/$2/metrics.jsonl"
}
# table NUMBER: its rows.
table() {
    awk -v title="Table $1:" 'index($0, title) == 1 { inside = 1; next } /^$/ { inside = 0 } inside' "$work/out"
}
active=$(column gxpo/active gxpo-1 | grep -c 1)
[ "$active" -lt 8 ] || fail "the rule of gxpo-1 is never shut off: this test looks at little"
passes=$(column update/backward_passes gxpo-1 | tail -n 1)
[ "$passes" = $((8 + 2 * active)) ] || fail "$passes backward passes after $active active steps of 8"
"$python" "$root/analysis/gxpo.py" "$work/gxpo-1" "$work/sfpo" >"$work/out" 2>&1 || fail "gxpo.py: $(cat "$work/out")"
table 5 | grep -qE "^  .*rule=gxpo.* 8 +$active +$((active + 1)) +$passes +$passes\$" || fail "table 5 of gxpo.py: $(cat "$work/out")"
table 5 | grep -qE "^  .*rule=sfpo.* 8 +[0-9]+ " || fail "table 5 of gxpo.py leaves out sfpo: $(cat "$work/out")"
mean=$(column gxpo/norm_g0 gxpo-1 | head -n "$active" | awk '{ sum += $1 } END { printf "%.3g", sum / NR }')
table 7 | grep -qE "^  .*rule=gxpo.*  $mean  " || fail "table 7 of gxpo.py: |g0| $mean expected: $(cat "$work/out")"
[ "$(table 7 | grep -c rule=)" = 1 ] || fail "table 7 of gxpo.py has another rule: $(cat "$work/out")"
error=$(column gxpo/error_relative gxpo-1 | sort -g | awk '{ x[NR] = $1 } END { printf "%.3g", (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2 }')
table 6 | grep -qE "^  .*rule=gxpo.*  $error  " || fail "table 6 of gxpo.py: error $error expected: $(cat "$work/out")"
"$python" "$root/analysis/gxpo.py" "$work/rl" --output "$work/no.png" 2>"$work/err" >"$work/out" && fail "gxpo.py draws a run of another rule"
grep -q 'nothing to draw' "$work/err" || fail "gxpo.py does not say why it draws nothing: $(cat "$work/err")"

# --- timeline.py ---

# Two attempts by hand: the first is killed in its third step, so that step 2, behind its checkpoint, is computed twice.
mkdir "$work/hand"
cat >"$work/hand/log.txt" <<'END'
[0] 1.000 data: source = a
[0] 2.000 run: directory = x, run = id, attempt = 1, time = 2026-11-27T10:00:02Z, job = SLURM job 4, step 0
[0] 13.000 run: step = 1/4, loss = 0, tokens_per_s = 1, step_s = 10.00, left_s = 3
[0] 14.000 checkpoint: file = a, bytes = 3, seconds = 1.00
[0] 25.000 run: step = 2/4, loss = 0, tokens_per_s = 1, step_s = 10.00, left_s = 3
[0] 1.000 run: directory = x, run = id, attempt = 2, time = 2026-11-27T10:01:01Z, job = none
[0] 12.000 run: step = 2/4, loss = 0, tokens_per_s = 1, step_s = 10.00, left_s = 3
[0] 22.000 run: step = 3/4, loss = 0, tokens_per_s = 1, step_s = 10.00, left_s = 3
[0] 24.000 run: stopped
END
for step in 1 2 3; do
    echo "{\"step\": $step, \"time/rollout\": 4, \"time/reward\": 0.5, \"time/gradient\": 3, \"time/optimizer\": 0.5, \"time/reduce\": 1}"
done >"$work/hand/metrics.jsonl"
printf '{"step": 4, "time/rol' >>"$work/hand/metrics.jsonl"
"$python" "$root/analysis/timeline.py" "$work/hand" --output "$work/hand.png" >"$work/out" 2>&1 || fail "timeline.py: $(cat "$work/out")"
sed 's/  */ /g' "$work/out" >"$work/table"
for row in "1 3.0 s 4.5 s 3.5 s 1.0 s 1.0 s 10.0 s 2.0 s 25.0 s 0.0 s" "2 2.0 s 9.0 s 7.0 s 2.0 s 0.0 s 0.0 s 4.0 s 24.0 s 35.0 s" \
    "all 5.0 s 13.5 s 10.5 s 3.0 s 1.0 s 10.0 s 6.0 s 49.0 s 35.0 s"; do
    grep -qx "$row" "$work/table" || fail "timeline.py does not find '$row': $(cat "$work/out")"
done
grep -q "to the last line 84.0 s" "$work/out" || fail "timeline.py finds another whole: $(cat "$work/out")"
[ "$(head -c 4 "$work/hand.png" | tail -c 3)" = PNG ] || fail "timeline.py draws no PNG"

# A run of two jobs, as gradus logs it.
run rl quickstart_rl.cfg "$sums" run.steps=5 checkpoint.every=1
"$python" "$root/analysis/timeline.py" "$work/rl" >"$work/out" 2>&1 || fail "timeline.py of a run: $(cat "$work/out")"
[ "$(grep -cE '^[12] ' "$work/out")" = 2 ] || fail "timeline.py does not find two attempts: $(cat "$work/out")"
# Steps 4 and 5 belong to the second; of so small a model they may take no tenth of a second.
drawn=$(sed -n '4,5s|.*"time/rollout": \([0-9.e+-]*\),.*|\1|p' "$work/rl/metrics.jsonl" | awk '{ sum += $1 } END { printf "%.9f", sum }')
awk -v drawn="$drawn" '$1 == "2" && ($4 - drawn > 0.051 || drawn - $4 > 0.051) { exit 1 }' "$work/out" ||
    fail "timeline.py: the second attempt drew answers for $drawn s: $(cat "$work/out")"
"$python" "$root/analysis/timeline.py" "$work" 2>"$work/err" && fail "timeline.py takes a folder without a run"
grep -q 'log.txt: No such file' "$work/err" || fail "timeline.py says $(cat "$work/err")"
finish
