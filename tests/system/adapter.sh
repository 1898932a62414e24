#!/bin/sh
# adapter.sh CASE: runs that train a low-rank adapter. bits: ranks, threads and recomputation change none. files: what is trained is
# what is written, under peft's names, and the same through export, merged or not. starts: from an adapter, and what is refused.
. "$(dirname "$0")/lib.sh"
lora="lora.rank=4 lora.alpha=8 checkpoint.every=3"

# shellcheck disable=SC2086
# tune RANKS NAME SETTING...
tune() {
    ranks=$1
    run=$2
    shift 2
    train "$ranks" "$run" $lora "$@"
}

# same_run A B
same_run() {
    same_rollouts "$1" "$2"
    same_numbers "$1" "$2"
    same "$1/checkpoints/step-000003.h5" "$2/checkpoints/step-000003.h5" /provenance /manifest /settings
    cmp "$1/adapter/adapter_model.safetensors" "$2/adapter/adapter_model.safetensors" || fail "the adapters of $1 and $2 differ"
}

# zero RUN METRIC ROW...
zero() {
    run=$1
    metric=$2
    shift 2
    for row in "$@"; do
        have=$(value "$run" "/step/$metric" "$row")
        [ "$have" = 0 ] || fail "$run: $metric of step $((row + 1)) is $have, not 0"
    done
}

# refuse WORDS ARGUMENT...: train on one rank ends with 2 and a sentence that holds the words.
# shellcheck disable=SC2086
refuse() {
    words=$1
    shift
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/refused" "$@"
    have=$?
    [ $have = 2 ] || fail "$*: exit status $have, expected 2: $(cat err)"
    grep -q "^gradus: error: .*$words" err || fail "$*: does not say '$words': $(cat err)"
}

# factors FILE: names of the tensors in a checkpoint's /parameters or a safetensors file, sorted.
factors() {
    "$GRADUS" inspect "$1" | grep -o 'base_model[^ ]*\|model\.layers[^ ]*\|model\.embed[^ ]*\|lm_head[^ ]*' | sort
}

# scores NAME ARGUMENT...: log-probabilities of a few texts to ./NAME.h5
scores() {
    out_name=$1
    shift
    "$GRADUS" score --input texts.jsonl --output "$out_name.h5" "$@" >/dev/null 2>err || fail "score $*: $(cat err)"
}

# apart A B: the largest difference between the log-probabilities of two files of scores.
apart() {
    "$SYSTEM_TOOL" rows "$1.h5" /logprob /offsets >a.rows
    "$SYSTEM_TOOL" rows "$2.h5" /logprob /offsets >b.rows
    paste -d ' ' a.rows b.rows | awk '{ n = NF / 2; for (i = 2; i <= n; i++) { d = $i - $(i + n); d = d < 0 ? -d : d; if (d > most) most = d
        if ($i == "" || $i != $i + 0) bad = 1 } } END { printf "%.9g", bad || NR == 0 ? 1e30 : most }'
}

bits() {
    case $1 in
    qwen2) settings="objective.kl_coef=0.1" ;;
    qwen3) settings="lora.rank_stabilized=true lora.targets=[\"q\",\"up\",\"down\"] update.mini_batches=2 parallel.groups_per_tile=1" ;;
    llama) settings="model.precision=bf16 lora.targets=[\"k\",\"v\",\"o\",\"gate\"] objective.kl_coef=0.1 parallel.tokens_per_pass=60" ;;
    esac
    settings="$settings model.path=$SYSTEM_WORK/$1"
    # shellcheck disable=SC2086
    {
        tune 1 one $settings
        tune 2 ranks-2 $settings
        tune 3 ranks-3 $settings
        tune 1 threads-2 $settings parallel.threads=2
        tune 1 again $settings model.recompute=true
        tune 1 seed $settings run.seed=1
    }
    for other in ranks-2 ranks-3 threads-2 again; do
        same_run one $other
    done
    differ one/checkpoints/step-000003.h5 seed/checkpoints/step-000003.h5 /provenance /manifest /settings
    zero one mismatch/logprob_max 0 1 2
    zero one mismatch/logprob_mean 0 1 2
    holds "$(value one /step/grad_norm 0) > 0" "the factors have a gradient"
    # The reference is the adapter off: nothing at first, since a new adapter changes nothing, and something when it has learned.
    case $settings in
    *kl_coef*)
        have=$("$SYSTEM_TOOL" value one/diagnostics.h5 /pass/kl 0 0)
        [ "$have" = 0 ] || fail "kl of the first pass with a new adapter is $have, not 0"
        holds "$(value one /pass/kl 2 0) > 0" "kl of a step after the adapter has learned"
        ;;
    esac
}

# The answers of the first step are those of the model without an adapter.
fresh() {
    tune 1 fresh run.steps=1
    train 1 plain run.steps=1
    "$SYSTEM_TOOL" rows fresh/rollouts/step-000001.h5 /answer/token_ids /answer/offsets >a.rows
    "$SYSTEM_TOOL" rows plain/rollouts/step-000001.h5 /answer/token_ids /answer/offsets >b.rows
    cmp a.rows b.rows || fail "a new adapter changes the answers of the first step"
}

files() {
    awk 'BEGIN { for (a = 0; a < 6; a++) printf "{\"text\": \"%d+%d=<think>%d</think><answer>%d</answer>\"}\n", a, 7 - a, a, 7 - a }' >texts.jsonl
    tune 1 run lora.targets='["q","v","o","up"]' optimizer.learning_rate=1e-2
    checkpoint=run/checkpoints/step-000003.h5

    # The names of peft, and nothing of the model.
    for layer in 0 1; do
        for module in self_attn.q_proj self_attn.v_proj self_attn.o_proj mlp.up_proj; do
            for factor in A B; do
                echo "base_model.model.model.layers.$layer.$module.lora_$factor.weight"
            done
        done
    done | sort >want.names
    factors run/adapter/adapter_model.safetensors >have.names
    cmp want.names have.names || fail "the adapter's tensors: $(diff want.names have.names | head -n 3)"
    for section in parameters optimizer/exp_avg optimizer/exp_avg_sq; do
        "$SYSTEM_TOOL" list "$checkpoint" "/$section" | sed 's,.*/,,' | sort >have.names
        cmp want.names have.names || fail "the checkpoint's /$section: $(diff want.names have.names | head -n 3)"
    done
    [ ! -e run/model ] || fail "a run of an adapter leaves run/model"
    [ "$(ls run/adapter | grep -v gradus_run.json | xargs)" = "adapter_config.json adapter_model.safetensors" ] || fail "run/adapter holds $(ls run/adapter | xargs)"
    "$GRADUS" inspect "$checkpoint" >shown
    grep -q "adapter: rank 4, alpha 8, scale alpha / rank, on q, v, o, up" shown || fail "inspect of the checkpoint does not tell the adapter"
    "$GRADUS" inspect run | grep -q "^  adapter .* in 3 files" || fail "inspect of the run does not list its adapter: $("$GRADUS" inspect run | tail -n 3)"
    "$GRADUS" inspect run/adapter >shown || fail "inspect of an adapter"
    grep -q "adapter: rank 4, alpha 8, scale alpha / rank, on q, v, o, up" shown || fail "inspect of the adapter does not tell it: $(head -n 2 shown)"

    # Export gives the same bytes; merged, the same model.
    "$GRADUS" export "$checkpoint" --output exported >/dev/null 2>err || fail "export: $(cat err)"
    "$GRADUS" export "$checkpoint" --merge --output merged >/dev/null 2>err || fail "export --merge: $(cat err)"
    for file in adapter_config.json adapter_model.safetensors; do
        cmp "exported/$file" "run/adapter/$file" || fail "export gives another $file than the run"
    done
    [ ! -e merged/adapter_config.json ] || fail "a merged model holds an adapter_config.json"
    scores adapter --model "$SYSTEM_WORK/qwen2" --adapter run/adapter
    scores merged --model merged
    scores base --model "$SYSTEM_WORK/qwen2"
    holds "$(apart adapter base) > 1e-2" "the adapter moves the log-probabilities"
    holds "$(apart adapter merged) < 2e-5" "log-probabilities of the adapter and of the merged model"
    mv "$work/merged" "$work/moved"
    "$GRADUS" export "$checkpoint" --merge --model "$SYSTEM_WORK/qwen2" --output merged >/dev/null 2>err || fail "export --merge --model: $(cat err)"
    cmp merged/model.safetensors moved/model.safetensors || fail "--model gives another merged model"
    "$GRADUS" export "$checkpoint" --precision bf16 --output half >/dev/null 2>err || fail "export in bf16: $(cat err)"
    scores half --model "$SYSTEM_WORK/qwen2" --adapter half
    holds "$(apart adapter half) < 5e-2 && $(apart adapter half) > 0" "log-probabilities of the adapter in bf16"

    # Greedy answers of the adapter and of the merged model.
    awk 'BEGIN { for (a = 0; a < 8; a++) printf "{\"prompt\": \"%d+%d=\"}\n", a, 7 - a }' >prompts.jsonl
    greedy="rollout.temperature=0 rollout.group_size=1"
    # shellcheck disable=SC2086
    {
        job 1 generate "$SYSTEM_WORK/input.cfg" --input prompts.jsonl --output adapter.jsonl $greedy lora.adapter=run/adapter ||
            fail "generate with an adapter: $(cat err)"
        job 1 generate "$SYSTEM_WORK/input.cfg" --input prompts.jsonl --output merged.jsonl $greedy model.path="$work/merged" ||
            fail "generate with the merged model: $(cat err)"
        job 1 generate "$SYSTEM_WORK/input.cfg" --input prompts.jsonl --output base.jsonl $greedy || fail "generate: $(cat err)"
    }
    cmp adapter.jsonl merged.jsonl || fail "the adapter and the merged model answer otherwise"
    cmp -s adapter.jsonl base.jsonl && fail "the adapter answers as the model without it"

    # A checkpoint without an adapter has nothing to merge.
    train 1 whole run.steps=1 checkpoint.every=1
    "$GRADUS" export whole/checkpoints/step-000001.h5 --merge --output nothing >/dev/null 2>err && fail "--merge of a whole model is not refused"
    grep -q "leave --merge out" err || fail "--merge of a whole model: $(cat err)"
}

starts() {
    tune 1 first lora.rank_stabilized=true lora.targets='["q","k","down"]' optimizer.learning_rate=1e-2

    # From an adapter: its rank, alpha and targets; learning nothing gives it back.
    for rank in "" lora.rank=4; do
        train 1 still lora.adapter="$work/first/adapter" optimizer.learning_rate=0 run.steps=1 ${rank:+$rank} --fresh
        cmp first/adapter/adapter_model.safetensors still/adapter/adapter_model.safetensors || fail "an adapter that learns nothing changes ($rank)"
        cmp first/adapter/adapter_config.json still/adapter/adapter_config.json || fail "an adapter that learns nothing has another description ($rank)"
    done
    refuse "lora.rank is 5, but the adapter in .* has rank 4" lora.adapter="$work/first/adapter" lora.rank=5
    train 1 second lora.adapter="$work/first/adapter" objective.kl_coef=0.1 checkpoint.every=2
    zero second mismatch/logprob_max 0 1 2
    holds "$(value second /pass/kl 0 0) > 0" "kl against the model without the adapter"
    cmp -s first/adapter/adapter_model.safetensors second/adapter/adapter_model.safetensors && fail "an adapter that learns does not change"

    # Going on from a checkpoint is going on from the adapter that export makes of it.
    "$GRADUS" export first/checkpoints/step-000003.h5 --output exported >/dev/null 2>err || fail "export: $(cat err)"
    train 2 exported-start lora.adapter="$work/exported" objective.kl_coef=0.1 checkpoint.every=2
    cmp exported-start/adapter/adapter_model.safetensors second/adapter/adapter_model.safetensors || fail "an exported adapter goes on otherwise"

    # sft of an adapter learns: other answers than the model gives.
    job 1 train "$SYSTEM_WORK/sft.cfg" model.path="$SYSTEM_WORK/qwen2" run.directory="$work/sft" lora.rank=16 lora.alpha=32 \
        "data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"answer\";})" || fail "sft of an adapter: $(cat err)"
    holds "$(value sft /step/loss 99) < 0.25 * $(value sft /step/loss 0)" "the loss of sft with an adapter"

    # What cannot be meant.
    refuse "lora.targets: 'query' is none of q, k, v, o, gate, up, down" lora.rank=4 lora.alpha=8 lora.targets='["query"]'
    refuse "lora.rank = 4 needs lora.alpha" lora.rank=4
    refuse "nowhere" lora.adapter="$work/nowhere"
    mkdir foreign foreign/adapter
    cp first/adapter/adapter_* foreign/adapter/
    refuse "foreign/adapter: one that no run here has left" lora.rank=4 lora.alpha=8 run.directory="$work/foreign"
    refuse "foreign/adapter: one that no run here has left" lora.rank=4 lora.alpha=8 run.directory="$work/foreign" --fresh
    refuse "lora.adapter is .*first/adapter, which the run replaces at its end" lora.adapter="$work/first/adapter" run.directory="$work/first" --fresh
    cmp first/adapter/adapter_model.safetensors foreign/adapter/adapter_model.safetensors || fail "a refused run changed an adapter"
    train 1 first --fresh run.steps=1
    [ -e first/model ] && [ ! -e first/adapter ] || fail "--fresh leaves the adapter of the run before"
}

case $1 in
bits-*) bits "${1#bits-}" ;;
*) "$1" ;;
esac
finish
