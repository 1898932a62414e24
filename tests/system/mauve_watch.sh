#!/bin/sh
# mauve_watch.sh: MAUVE on the way of a run is that of gradus mauve of the same texts, the same on any number of ranks and after a
# restart, and changes no bit of the training; what cannot be compared is refused.
. "$(dirname "$0")/lib.sh"
awk 'BEGIN {
    for (row = 0; row < 8; row++) {
        printf "{\"text\": \""
        for (i = 0; i < 24; i++)
            printf "%d%s%d ", row * i % 7, i % 3 ? "+" : "=", i % 10
        print "\"}"
    }
}' >texts.jsonl
metrics="mauve frontier_integral mauve_star frontier_integral_star generations empty"

# run RANKS NAME SETTING...: 6 steps of 3 windows, to each of which two texts are written; the newest 8 texts are compared.
run() {
    ranks=$1
    name_of=$2
    shift 2
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$name_of" run.steps=6 'data.train=()' \
        "data.corpus=({path=\"$work/texts.jsonl\";})" adversarial.window_tokens=40 adversarial.completion_tokens=20 rollout.prompts_per_step=3 \
        rollout.group_size=2 reward.parts='({name="length";})' lora.rank=2 lora.alpha=4.0 checkpoint.keep=9 checkpoint.every=1 "$@"
}
good() {
    run "$@" || fail "run $*: exit status $?, $(tail -n 3 err)"
}
watched="mauve.every=2 mauve.generations=8 mauve.buckets=3"

# texts RUN STEP WITHOUT: of the newest $groups groups after a step the texts of their windows and those written, real.jsonl and
# written.jsonl; what of these has no end of thinking counts as WITHOUT says.
groups=4
texts() {
    rm -f all_real all_written
    for step in $(seq "$2"); do
        file=$1/rollouts/step-00000$step.h5
        "$SYSTEM_TOOL" json "$file" /prompt/reference /prompt/reference_offsets >>all_real
        "$SYSTEM_TOOL" json "$file" /answer/text /answer/text_offsets "</think>" "$3" >>all_written
    done
    tail -n $groups all_real >real.jsonl
    tail -n $((2 * groups)) all_written >written.jsonl
}

# equals RUN STEP WITHOUT ARGUMENT...: the numbers of the step are those of gradus mauve with these arguments.
equals() {
    told=$1
    step=$2
    texts "$1" "$2" "$3"
    shift 3
    job 1 mauve --p real.jsonl --q written.jsonl --threads 1 "$@" || fail "mauve $*: $(cat err)"
    for metric in mauve frontier_integral mauve_star frontier_integral_star; do
        want=$(sed -n "s/.*\"$metric\": \([-0-9.e]*\).*/\1/p" out)
        have=$(value "$told" /step/mauve/$metric $((step - 1)))
        holds "$have - $want < 1e-12 && $want - $have < 1e-12" "$told, step $step: $metric is $have, of gradus mauve $want"
    done
    [ "$(grep -cv '{"text": ""}' written.jsonl)" = "$(value "$told" /step/mauve/generations $((step - 1)))" ] ||
        fail "$told, step $step: $(value "$told" /step/mauve/generations $((step - 1))) texts are said to be compared"
    [ "$(grep -c '{"text": ""}' written.jsonl)" = "$(value "$told" /step/mauve/empty $((step - 1)))" ] ||
        fail "$told, step $step: $(value "$told" /step/mauve/empty $((step - 1))) texts are said to be empty"
}

# shellcheck disable=SC2086
good 1 whole $watched
for step in 2 4 6; do
    equals whole $step all --model "$SYSTEM_WORK/qwen2" --buckets 3
    holds "$(value whole /step/mauve/mauve $((step - 1))) > 0 && $(value whole /step/mauve/mauve $((step - 1))) <= 1" "MAUVE lies between 0 and 1"
    for metric in $metrics; do
        [ "$(value whole /step/mauve/$metric $((step - 2)))" = nan ] || fail "there is $metric in step $((step - 1))"
    done
    holds "$(value whole /step/time/mauve $((step - 2))) > 0" "time of the features"
done
grep -q 'mauve: step = 6, mauve = [0-9.]*, .* generations = [0-9]*, empty = [0-9]*, buckets = 3, ' whole/log.txt || fail "the log does not tell MAUVE"
"$GRADUS" inspect whole/checkpoints/step-000006.h5 >said && grep -q 'state/mauve/features *[0-9]* numbers' said || fail "inspect: $(cat said)"

# No bit of the training depends on it, and no bit of it on ranks or a restart.
good 1 without
same_rollouts without whole
cmp without/adapter/adapter_model.safetensors whole/adapter/adapter_model.safetensors || fail "MAUVE changes the model"
for ranks in 2 3; do
    # shellcheck disable=SC2086
    good $ranks ranks-$ranks $watched parallel.shard=true
    same_whole whole ranks-$ranks
done
# shellcheck disable=SC2086
good 2 again $watched run.steps=3
# shellcheck disable=SC2086
good 1 again $watched
same_whole whole again

# The model that reads the texts stays as it is while the adapter learns.
# shellcheck disable=SC2086
good 1 still $watched run.steps=1 optimizer.learning_rate=0.0
# shellcheck disable=SC2086
good 1 moved $watched run.steps=1 optimizer.learning_rate=0.1
cmp -s still/adapter/adapter_model.safetensors moved/adapter/adapter_model.safetensors && fail "the adapter does not learn"
for run in still moved; do
    "$SYSTEM_TOOL" sum $run/checkpoints/step-000001.h5 /state/mauve/features >$run.sum || fail "no features in the checkpoint of $run"
done
cmp still.sum moved.sum || fail "features depend on the adapter: $(cat still.sum moved.sum)"

# Another model reads the texts; other settings arrive; a thought that has not ended is no completion.
groups=18
good 2 other mauve.every=3 mauve.features="$SYSTEM_WORK/llama" mauve.scaling=2.0 mauve.seed=4 mauve.variance=0.5 mauve.start=kmeans++ mauve.restarts=2 \
    mauve.max_tokens=9 mauve.buckets=25 lora.rank=0 objective.kl_coef=0.1
equals other 6 all --model "$SYSTEM_WORK/llama" --buckets 25 --scaling 2 --seed 4 --variance 0.5 --start kmeans++ --restarts 2 --max-tokens 9
good 1 short mauve.every=6 mauve.buckets=25 mauve.iterations=1 mauve.restarts=1 rollout.think_tokens=12 objective.kl_coef=0.1
equals short 6 nothing --model "$SYSTEM_WORK/qwen2" --buckets 25 --iterations 1 --restarts 1

# The game of generator and discriminator, whose model has a head as well, on 1 and 2 ranks and with a restart.
game="mauve.every=3 mauve.buckets=12 run.method=adversarial rollout.think_tokens=12 adversarial.head_learning_rate=0.01 update.iterations=1"
# shellcheck disable=SC2086
good 1 game $game
equals game 6 nothing --model "$SYSTEM_WORK/qwen2" --buckets 12
# shellcheck disable=SC2086
good 2 game-2 $game run.steps=4
# shellcheck disable=SC2086
good 2 game-2 $game
same_whole game game-2

# As long as the texts do not fill the buckets there is nothing to tell.
good 1 few mauve.every=1 mauve.buckets=20 run.steps=3
# shellcheck disable=SC2046
set -- $(for row in 0 1 2; do value few /step/mauve/generations $row; done)
{ [ "$1 $2" = "nan nan" ] && holds "$3 > 10" "completions compared"; } || fail "of 9, 18 and 27 texts in 20 buckets are compared: $*"

# Its time is its own.
good 1 long mauve.every=1 mauve.buckets=16 mauve.restarts=1000 rollout.group_size=8 rollout.max_new_tokens=2 run.steps=1
holds "$(value long /step/time/mauve 0) > $(value long /step/time/step 0)" "the time of a step holds that of MAUVE"

# refused WORDS SETTING...
refused() {
    words=$1
    shift
    run 1 no "$@"
    [ $? = 2 ] || fail "$* is not refused"
    ours | grep -qF -- "$words" || fail "$* does not say '$words': $(ours)"
    [ ! -e no ] || fail "$*, which is refused, leaves $(ls no)"
}
refused "and there is no data.corpus" mauve.every=1 'data.corpus=()' "data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"answer\";})"
refused 'run.method = "sft" draws none' mauve.every=1 run.method=sft
refused "give mauve.features" mauve.every=1 lora.rank=0
refused "none/config.json" mauve.every=1 mauve.features=none
cp -r "$SYSTEM_WORK/llama" reader
# shellcheck disable=SC2086
good 1 reads $watched mauve.features="$work/reader" run.steps=2
cp "$SYSTEM_WORK/llama-start/model.safetensors" reader
# shellcheck disable=SC2086
run 1 reads $watched mauve.features="$work/reader" && fail "features of another model go on"
ours | grep -q "the weights in $work/reader are not those any more that the checkpoint's features of texts are by" || fail "no sentence: $(ours | tail -n 1)"
# shellcheck disable=SC2086
run 1 reads $watched mauve.features="$work/reader" mauve.generations=10 && fail "another number of texts goes on"
ours | grep -q 'mauve.generations is 10, was 8; these may not change' || fail "no sentence: $(ours | tail -n 1)"
"$GRADUS" plan "$SYSTEM_WORK/input.cfg" --ranks 2 run.directory="$work/no" 'data.train=()' "data.corpus=({path=\"$work/texts.jsonl\";})" \
    adversarial.window_tokens=40 adversarial.completion_tokens=20 lora.rank=2 lora.alpha=4.0 mauve.every=2 mauve.generations=1000 >said 2>&1 ||
    fail "plan: $(cat said)"
# 250 groups of a real text and 4 written ones, 32 numbers of 4 bytes each.
{ grep -q 'features of generations *0.2' said && grep -q 'a checkpoint *0.2 MiB' said; } || fail "plan: $(cat said)"
finish
