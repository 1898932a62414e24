#!/bin/sh
# papers.sh ROOT GRADUS: what `gradus plan --ranks 8 --device a100-80` says of every file of input/ when nothing of the models is
# here but their published config.json: that a rank fits, or what to change; and of every row of the table of papers in
# input/README that it fits or does not, as the row says. Sizes of two models by hand.
. "$(dirname "$0")/lib.sh"
configs=$root/tests/data/model/configs
mkdir -p "$work/input"
cp "$root"/input/*.cfg "$work/input"
ln -s "$configs" "$work/models"
for part in quickstart/start quickstart/sft/model compare/sft/model; do # what the scripts in jobs/ make and train
    mkdir -p "$work/runs/$part"
    cp "$configs/SmolLM2-135M-Instruct/config.json" "$work/runs/$part"
done
cd "$work/input" || exit 1

# plan FILE SETTING...: $work/out, and $fits: "fits" or "does not fit". A step of the game has 4 windows, so at most 4 ranks.
plan() {
    case $1 in
    adversarial.cfg | adversarial_reasoning.cfg) ranks=4 ;;
    *) ranks=8 ;;
    esac
    "$gradus" plan --ranks $ranks --device a100-80 "$@" run.directory="$work/run" >"$work/out" 2>"$work/err" || fail "gradus plan $*: $(cat "$work/err")"
    fits=$(sed -n 's/^a100-80 .*: a rank \(fits\|does not fit\), .*/\1/p' "$work/out")
}

# part NAME: MiB of a row in training, 0 where it is none.
part() {
    awk -v name="$1" 'index($0, "  " name "  ") == 1 { mib = $(NF - 1) } END { print mib + 0 }' "$work/out"
}

# near MIB BYTES WHAT
near() {
    awk -v have="$1" -v want="$2" 'BEGIN { d = have - want / 1048576; exit !(d < 0.11 && d > -0.11) }' ||
        fail "$3: planned $1 MiB, by hand $2 bytes"
}

# The published numbers of parameters.
while read -r model parameters; do
    plan grpo_gsm8k.cfg model.path="../models/$model"
    grep -q "^model: .* $parameters parameters" "$work/out" || fail "$model has $parameters parameters: $(grep '^model:' "$work/out")"
done <<'END'
Qwen2.5-0.5B-Instruct 494032768
Qwen2.5-1.5B-Instruct 1543714304
Qwen2.5-3B-Instruct 3085938688
Qwen2.5-7B-Instruct 7615616512
Qwen3-1.7B 1720574976
Qwen3-4B 4022468096
Qwen3-8B 8190735360
Llama-3.2-1B-Instruct 1235814400
Llama-3.2-3B-Instruct 3212749824
SmolLM2-135M-Instruct 134515008
END

# check_file FILE: the plan just made of a file as it is.
check_file() {
    file=$1
    [ "$(head -n 1 "$work/out")" = "assumed, since it is not here:" ] || fail "$file: the plan does not begin with what it assumes"
    case $fits in
    fits) ;;
    'does not fit') # then the file says so, and the plan what to change
        grep -q 'fits no GPU' "$file" || fail "$file does not fit, and does not say so"
        grep -q '^ *[0-9.]* MiB less ' "$work/out" || fail "$file does not fit, and nothing is told to change" ;;
    *) fail "$file: it is not told whether it fits" ;;
    esac
}

for file in *.cfg; do
    case $file in
    reference.cfg | paper_*) ;;
    *) plan "$file" && check_file "$file" ;;
    esac
done

grep '^    .* | paper_[a-z_]*\.cfg' "$root/input/README" | sed 's/^    //; s/ *| */|/g' >"$work/rows"
for file in paper_*.cfg; do
    grep -q "|$file|" "$work/rows" || fail "$file as it is has no row in the table of papers"
done
while IFS='|' read -r what line verdict; do
    eval "plan $line"
    case $line in *' '*) ;; *) check_file "$line" ;; esac
    [ "$fits" = "$verdict" ] || fail "$what ($line): the table says it $verdict, the plan that it $fits"
done <"$work/rows"
[ "$(wc -l <"$work/rows")" -ge 15 ] || fail "the table of papers has $(wc -l <"$work/rows") rows: this test looks at little"

# All weights of 1.5 10^9 parameters: 2 bytes as bf16, 4 as master, 4 + 4 moments, 8 sums of gradients.
n=1543714304
plan paper_gxpo_grpo.cfg
near "$(part parameters)" $((4 * n)) "master"
near "$(part 'first moments')" $((4 * n)) "first moments"
near "$(part 'second moments')" $((4 * n)) "second moments"
near "$(part 'gradient sums')" $((8 * n)) "gradient sums"
weights=$(awk '/^  (weights of a layer|embedding)  / { mib += $(NF - 1) } END { print mib }' "$work/out")
awk -v have="$weights" -v want="$((2 * n))" 'BEGIN { s = have * 1048576 / want; exit !(s > 0.999 && s < 1.001) }' ||
    fail "bf16 weights: planned $weights MiB, by hand $((2 * n)) bytes"
state=$(awk '/^  sum  / { print $2; exit }' "$work/out")
awk -v have="$state" -v want="$((24 * n))" 'BEGIN { s = have * 1048576 / want; exit !(s > 0.98 && s < 1.02) }' ||
    fail "state with its reference: planned $state MiB, by hand $((24 * n)) bytes"

# LoRA of rank 64 on all matrices of the 7B model: the base is 2 bytes a parameter and nothing else of it is held.
n=7615616512
C=3584 F=18944 kv=512
factors=$((28 * 64 * ((C + C) + 2 * (C + kv) + (C + C) + 3 * (C + F))))
plan paper_gates.cfg lora.rank=64 lora.alpha=128 parallel.shard=false
grep -q "^model: .* $n parameters, $factors of them trained" "$work/out" || fail "factors by hand $factors: $(grep '^model:' "$work/out")"
near "$(part parameters)" $((4 * factors)) "master of an adapter"
near "$(part 'gradient sums')" $((8 * factors)) "gradient sums of an adapter"
weights=$(awk '/^  (weights of a layer|embedding|output head|weights of the head)  / { mib += $(NF - 1) } END { print mib }' "$work/out")
awk -v have="$weights" -v want="$((2 * n))" 'BEGIN { s = have * 1048576 / want; exit !(s > 0.999 && s < 1.001) }' ||
    fail "bf16 base: planned $weights MiB, by hand $((2 * n)) bytes"
grep -q "^  reference model" "$work/out" && fail "a reference is planned beside an adapter"

# All its weights on 8 shards: every rank has the master, and an eighth of moments and sums.
plan paper_gates.cfg
near "$(part parameters)" $((4 * n)) "master beside shards"
for kind in "first moments:4" "second moments:4" "gradient sums:8"; do
    # the largest shard: an eighth, and not a piece of 2^20 elements more
    awk -v have="$(part "${kind%:*}")" -v bytes="${kind#*:}" -v n=$n \
        'BEGIN { d = have - bytes * n / 8 / 1048576; exit !(d > -0.11 && d < bytes) }' || fail "${kind%:*} of a shard: planned $(part "${kind%:*}") MiB"
done

# The estimate is one, and of the device: nothing but its bandwidth and peak differ between these two.
seconds() {
    sed -n 's/^estimate for a step .*: \([0-9]*\) s, .*/\1/p' "$work/$1"
}
"$gradus" plan --ranks 8 --device h100-80 paper_opsd_sft.cfg >"$work/h100-80" 2>"$work/err" || fail "plan for h100-80: $(cat "$work/err")"
plan paper_opsd_sft.cfg
cp "$work/out" "$work/a100-80"
[ "$(seconds h100-80)" -lt "$(seconds a100-80)" ] || fail "a step on H100s is not estimated shorter than on A100s"
# An advice counts against the plan alone: nothing of earlier rehearsals is left. Fast sums take 4 bytes a factor less.
near "$(sed -n 's/^ *\([0-9.]*\) MiB less  parallel.reduction.*/\1/p' "$work/out")" $((4 * 174587904)) "fast sums of an adapter"
# By hand: the sum of arithmetic on 8 ranks at 0.4 of 312 TFLOP/s.
sum=$(sed -n 's/^  sum  *\([0-9.]*\) TFLOP$/\1/p' "$work/out")
awk -v sum="$sum" -v have="$(seconds a100-80)" 'BEGIN { want = sum / (8 * 0.4 * 312); exit !(have - want < 0.51 && want - have < 0.51) }' ||
    fail "$sum TFLOP are estimated to take $(seconds a100-80) s"

# Without --device what is missing is refused, as in train; with it config.json is needed still, and what is here is read.
"$gradus" plan paper_gates.cfg >/dev/null 2>&1 && fail "a model without weights is planned for this machine"
"$gradus" plan --device a100-80 paper_gates.cfg model.path="$work/nowhere" >/dev/null 2>"$work/err" && fail "a model without config.json is planned"
grep -q config.json "$work/err" || fail "a missing config.json is not named: $(cat "$work/err")"
"$gradus" plan --device z9 paper_gates.cfg >/dev/null 2>"$work/err" && fail "an unknown device is planned for"
grep -q 'known are a100-40, a100-80, h100-80, h200-141, cpu' "$work/err" || fail "the known devices are not told: $(cat "$work/err")"
tiny_model
echo '{"question": "1?", "answer": "1"}' >"$work/rows.jsonl"
here="model.path=$work/model data.train=({path=\"$work/rows.jsonl\";prompt=\"question\";answer=\"answer\";})"
# shellcheck disable=SC2086
"$gradus" plan --device cpu sapo_gsm8k.cfg $here prompt.max_tokens=1024 >"$work/out" 2>"$work/err" || fail "plan for cpu: $(cat "$work/err")"
grep -q '^assumed' "$work/out" && fail "something is assumed although all is here"
grep -q '^cpu (this machine): a rank fits' "$work/out" || fail "a tiny model does not fit this machine"
rm "$work/model/model.safetensors"
# shellcheck disable=SC2086
"$gradus" plan --device cpu sapo_gsm8k.cfg $here prompt.max_tokens=1024 >"$work/out" 2>"$work/err" || fail "plan without weights: $(cat "$work/err")"
grep -q '^  weights: ' "$work/out" || fail "missing weights are not told"
grep -qE '^  (tokenizer|data): ' "$work/out" && fail "tokenizer or data are called missing, and are here"
finish
