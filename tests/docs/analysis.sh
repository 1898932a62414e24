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
run rl quickstart_rl.cfg "data.train=( { path = \"$work/train.jsonl\"; prompt = \"question\"; answer = \"answer\"; } )"

# draws PICTURE ARGUMENT...
draws() {
    picture=$work/$1
    shift
    "$python" "$root/analysis/curves.py" "$@" --output "$picture" >"$work/out" 2>&1 || fail "curves.py $*: $(cat "$work/out")"
    [ "$(head -c 4 "$picture" | tail -c 3)" = PNG ] || fail "curves.py $* draws no PNG"
}
# With rewards the picture shows them, without it shows the loss.
panels=$(cd "$root/analysis" && "$python" -c '
import sys
from curves import choose_panels, read_steps
for run in sys.argv[1:]:
    print(*choose_panels({run: read_steps(run)}))
' "$work/rl" "$work/sft")
[ "$panels" = "reward rewards/answer/mean rewards/format/mean pass/eur entropy completions/mean_length
loss entropy grad_norm" ] || fail "curves.py chooses other panels: $panels"
draws rl.png "$work/rl"
draws both.png "$work/rl" "$work/sft"
draws some.png "$work/rl/diagnostics.h5" --metrics pass/eur time/step --smooth 2
"$python" "$root/analysis/curves.py" "$work/rl" --metrics nothing --output "$work/no.png" 2>"$work/err" && fail "curves.py draws an unknown metric"
grep -q 'no run has values of nothing' "$work/err" || fail "curves.py does not say what is missing: $(cat "$work/err")"

# The summary's mean is that of metrics.jsonl, and accuracies are those of the answers given.
cat >"$work/before.jsonl" <<'END'
{"answer": "7", "completions": [{"text": "<think>3+4=7</think><answer>8</answer>"}, {"text": "7"}]}
{"answer": "9", "completions": [{"text": "<answer>1</answer><answer> 9 </answer>"}, {"text": "<answer>9"}]}
END
sed 's/8</7</' "$work/before.jsonl" >"$work/after.jsonl"
"$python" "$root/analysis/summary.py" "$work/rl" --before "$work/before.jsonl" --after "$work/after.jsonl" --steps 3 >"$work/out" 2>&1 ||
    fail "summary.py: $(cat "$work/out")"
mean=$(sed -n 's/.*"entropy": \([0-9.e+-]*\), "eur".*/\1/p' "$work/rl/metrics.jsonl" | awk '{ sum += $1 } END { printf "%.3f", sum / NR }')
grep -qE "^entropy \[nat\] +$mean +$mean\$" "$work/out" || fail "summary.py gives another mean entropy than $mean: $(cat "$work/out")"
grep -qE '^  answer accuracy +0.250 +0.500 +4 answers' "$work/out" || fail "summary.py counts other accuracies: $(cat "$work/out")"
finish
