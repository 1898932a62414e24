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

# refused STATUS WORDS ARGUMENT...: a command that must end with that exit status and one sentence with those words.
refused() {
    status=$1
    words=$2
    shift 2
    job 1 "$@"
    have=$?
    [ "$have" = "$status" ] || fail "$1 ended with $have, not $status: $(tail -n 2 err)"
    tail -n 3 err | grep -q "$words" || fail "$1 did not say '$words' but: $(tail -n 3 err)"
}

# A weight that is not a number is refused by every command that computes, and named.
cp -r "$SYSTEM_WORK/qwen2" damaged
size=$(($(wc -c <damaged/model.safetensors) - 4))
printf '\000\000\300\177' | dd of=damaged/model.safetensors bs=1 seek=$size conv=notrunc 2>/dev/null
echo '{"text": "1+1=2"}' >text.jsonl
echo '{"prompt": "1+1="}' >prompt.jsonl
words="model.norm.weight holds nan at element 31 of 32"
refused 2 "$words" train "$SYSTEM_WORK/input.cfg" run.directory="$work/refused" model.path="$work/damaged"
refused 2 "$words" train "$SYSTEM_WORK/sft.cfg" run.directory="$work/refused" model.path="$work/damaged"
refused 2 "$words" score --model damaged --input text.jsonl --output score.h5
refused 2 "$words" generate "$SYSTEM_WORK/input.cfg" --input prompt.jsonl --output answers.jsonl model.path="$work/damaged"

# So are finite ones that make the logits infinite, by the place where that happens.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32; do
    printf '\377\377\177\177'
done | dd of=damaged/model.safetensors bs=1 seek=$((size - 124)) conv=notrunc 2>/dev/null
words="behind the last layer, .* gives"
refused 70 "$words" train "$SYSTEM_WORK/input.cfg" run.directory="$work/infinite" model.path="$work/damaged"
grep -q "there is no checkpoint to go back to" err || fail "a run without a checkpoint does not say so: $(tail -n 2 err)"
refused 70 "$words" train "$SYSTEM_WORK/sft.cfg" run.directory="$work/infinite-sft" model.path="$work/damaged"
refused 70 "$words" score --model damaged --input text.jsonl --output score.h5
refused 70 "$words" generate "$SYSTEM_WORK/input.cfg" --input prompt.jsonl --output answers.jsonl model.path="$work/damaged"

# A run that diverges ends; the checkpoints it has are those of before, and the sentence names the last.
for ranks in 1 2; do
    run=diverges-$ranks
    job $ranks train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" run.steps=30 checkpoint.every=1 checkpoint.keep=100 \
        optimizer.learning_rate=1000 optimizer.weight_decay=1000 update.iterations=1
    [ $? != 0 ] || fail "$run: a run that diverged ended with 0"
    last=$(sed -n 's/.*the last checkpoint, \(.*\), is finite and whole.*/\1/p' err | head -n 1)
    [ -f "$last" ] || fail "$run: no checkpoint is named: $(tail -n 2 err)"
    [ "$last" = "$(ls "$work/$run"/checkpoints/*.h5 | tail -n 1)" ] || fail "$run: $last is not the last checkpoint"
    job 1 inspect "$last" || fail "$run: inspect $last: $(cat err)"
    [ ! -e "$work/$run/model" ] || fail "$run: a model that diverged was written"
done

# A step that is skipped has the norm NaN, not 0; too many in a row end the run.
skips='run.steps=40 optimizer.learning_rate=1000 optimizer.weight_decay=1 update.iterations=3 checkpoint.every=1'
refused 70 "not finite in 10 optimizer steps in a row .*step-000003.h5, is finite" train "$SYSTEM_WORK/input.cfg" \
    run.directory="$work/skips" $skips
[ "$(value skips /step/update/skipped 0)" = 2 ] || fail "2 of the 3 passes were to be skipped"
for pass in 1 2; do
    norm=$(value skips /pass/grad_norm 0 $pass)
    case $norm in *nan*) ;; *) fail "grad_norm of a skipped pass is $norm" ;; esac
done
refused 70 "not finite in 2 optimizer steps in a row .*no checkpoint" train "$SYSTEM_WORK/input.cfg" \
    run.directory="$work/skips-2" $skips optimizer.max_skipped=2

# sft: what a rollout file says of a token is of its first pass, however many follow.
for passes in 1 2 3; do
    job 1 train "$SYSTEM_WORK/sft.cfg" model.path="$SYSTEM_WORK/qwen2" run.directory="$work/passes-$passes" run.steps=2 optimizer.warmup_steps=0 \
        update.mini_batches=2 update.iterations=$passes output.rollouts_every=1 || fail "sft with $passes passes: $(cat err)"
    same passes-1/rollouts/step-000001.h5 passes-$passes/rollouts/step-000001.h5 /provenance
done
differ passes-1/rollouts/step-000002.h5 passes-2/rollouts/step-000002.h5

# The update ratio of the log is that of the last pass; /step/eur is the mean of all.
train 1 ratio run.steps=1 update.iterations=3
last=$(value ratio /pass/eur 0 2)
said=$(sed -n 's/.*eur_last_pass = \([0-9.]*\),.*/\1/p' ratio/log.txt)
holds "$last < 0.9999 && ($said - $last) ^ 2 < 0.0006 ^ 2" "eur of the log is $said, of the last pass $last"
mean=$(value ratio /step/eur 0)
holds "($mean - (1 + $(value ratio /pass/eur 0 1) + $last) / 3) ^ 2 < 1e-20" "/step/eur is $mean, not the mean of the passes"
finish
