#!/bin/sh
# plan.sh: what `gradus plan` foretells of a run is what the run then takes: memory that is allocated to 1 %, resident memory to
# 5 % (of so small a model the libraries take most), files, and the saving that an advice promises.
. "$(dirname "$0")/lib.sh"

awk 'BEGIN {
    for (i = 0; i < 8; i++)
        print "{\"question\": \"12345678901234567890123456789012\", \"answer\": \"1234567890123456789012345678901\"}"
}' >rows.jsonl
awk 'BEGIN { for (i = 0; i < 8; i++) print "{\"text\": \"12345678901234567890123456789012345678901234567890123456789012345678901234567890\"}" }' >texts.jsonl
job 1 init --arch llama --layers 4 --width 256 --heads 4 --kv-heads 2 --mlp 1024 --max-positions 128 --untied --seed 5 \
    --output "$work/model" || fail "init"
# The most probable token is drawn: of random weights it is hardly the one that ends an answer, so that none is short.
cat >input.cfg <<'END'
run : { steps = 2; };
model : { path = "model"; };
data : { train = ( { path = "rows.jsonl"; prompt = "question"; answer = "answer"; } ); };
prompt : { chat = "none"; };
rollout : { prompts_per_step = 4; group_size = 4; max_new_tokens = 40; top_k = 1; };
checkpoint : { every = 1; keep = 1; };
parallel : { threads = 1; };
END

# plan RANKS SETTING...: ./plan.txt, and $peak of it and what of that is $outside the books, in MiB.
plan() {
    ranks=$1
    shift
    "$GRADUS" plan input.cfg --ranks "$ranks" --fresh run.directory="$work/run" "$@" >plan.txt || fail "plan $*"
    peak=$(sed -n 's/^  the most: \([0-9.]*\) MiB.*/\1/p' plan.txt)
    outside=$(awk '/^  program, libraries, MPI/ { print $4 }' plan.txt)
}

# foretold RANKS SETTING...
foretold() {
    plan "$@"
    ranks=$1
    shift
    train "$ranks" run --fresh "$@"
    set -- "$*" $(sed -n 's/.*resident_peak_mib = \([0-9.]*\), allocated_peak_mib = \([0-9.]*\).*/\1 \2/p' run/log.txt)
    echo "$ranks ranks, $1: planned $peak MiB, $outside of them outside; resident $2 MiB, allocated $3 MiB"
    holds "($peak - $outside) / $3 > 0.99 && ($peak - $outside) / $3 < 1.01" "planned $peak - $outside MiB, allocated $3 MiB for $1"
    holds "$peak / $2 > 0.95 && $peak / $2 < 1.05" "planned $peak MiB, resident $2 MiB for $1"
}

# mib NAME: the number that the plan tells of a file.
mib() {
    sed -n "s/^  $1 *\([0-9.]*\) MiB.*/\1/p" plan.txt
}

cd "$work" || exit 1
SYSTEM_WORK=$work
for ranks in 1 2; do
    foretold $ranks
    foretold $ranks objective.kl_coef=0.1
    foretold $ranks objective.kl_coef=0.1 model.recompute=true
    foretold $ranks run.method=sft
    foretold $ranks model.precision=bf16 objective.kl_coef=0.1
    foretold $ranks lora.rank=8 lora.alpha=16 objective.kl_coef=0.1
    foretold $ranks lora.rank=8 lora.alpha=16 model.precision=bf16 model.recompute=true
    foretold $ranks parallel.tokens_per_pass=112 parallel.reduction=fast rollout.answers_in_flight=3
    # A teacher with weights of its own, with the adapter off, and with another adapter.
    opsd='run.method=opsd distill.teacher_template={solution}{prompt}'
    # shellcheck disable=SC2086
    foretold $ranks $opsd
    # shellcheck disable=SC2086
    foretold $ranks $opsd lora.rank=8 lora.alpha=16
    # shellcheck disable=SC2086
    foretold $ranks $opsd lora.rank=8 lora.alpha=16 distill.teacher=ema
    # shellcheck disable=SC2086
    foretold $ranks $opsd distill.teacher=ema
    # The game, both losses in one gradient, summed apart or not, and with a step and moments of its discriminator's own.
    game="run.method=adversarial data.train=() adversarial.window_tokens=60 adversarial.completion_tokens=30 objective.kl_coef=0.1"
    corpus="data.corpus=( { path = \"$work/texts.jsonl\"; text = \"text\"; } )"
    # shellcheck disable=SC2086
    foretold $ranks $game "$corpus" rollout.max_new_tokens=40
    # shellcheck disable=SC2086
    foretold $ranks $game "$corpus" rollout.max_new_tokens=40 adversarial.d_step=own update.mini_batches=2
    # A discriminator that reasons, in sequences longer than any answer's.
    reasons="$game adversarial.reason_tokens=30 adversarial.judge_template={prefix}:{completion}?<think>"
    # shellcheck disable=SC2086
    foretold $ranks $reasons "$corpus" rollout.max_new_tokens=40
    # shellcheck disable=SC2086
    foretold $ranks $reasons "$corpus" rollout.max_new_tokens=40 lora.rank=8 lora.alpha=16
    # Evaluations that decode more and longer answers than the steps do.
    foretold $ranks eval.every=2 eval.samples=8 eval.pass_at='[1]' eval.max_new_tokens=60 eval.answers_in_flight=32 \
        "eval.sets=( { name = \"rows\"; path = \"$work/rows.jsonl\"; prompt = \"question\"; answer = \"answer\"; } )"
done

# On shards, of which the first rank has the longest.
for ranks in 2 4; do
    foretold $ranks parallel.shard=true objective.kl_coef=0.1
    foretold $ranks parallel.shard=true parallel.reduction=fast model.precision=bf16
done
foretold 4 parallel.shard=true lora.rank=8 lora.alpha=16
# shellcheck disable=SC2086
foretold 2 parallel.shard=true $game "$corpus" rollout.max_new_tokens=40 adversarial.d_step=own

# Files. Large datasets begin at whole blocks; the gaps between them are no bytes on the disk.
plan 1
train 1 run --fresh
for file in "a checkpoint:run/checkpoints/step-000002.h5" "the model at the end:run/model/model.safetensors"; do
    have=$(($(du -k "${file#*:}" | cut -f 1) * 1024))
    holds "$(mib "${file%%:*}") * 1048576 / $have > 0.98 && $(mib "${file%%:*}") * 1048576 / $have < 1.02" \
        "planned $(mib "${file%%:*}") MiB, ${file#*:} has $have bytes"
done

plan 1 lora.rank=8 lora.alpha=16
train 1 run --fresh lora.rank=8 lora.alpha=16
for file in "a checkpoint:run/checkpoints/step-000002.h5" "the adapter at the end:run/adapter/adapter_model.safetensors"; do
    have=$(wc -c <"${file#*:}")
    holds "$(mib "${file%%:*}") * 1048576 / $have > 0.9 && $(mib "${file%%:*}") * 1048576 / $have < 1.1" \
        "with an adapter: planned $(mib "${file%%:*}") MiB, ${file#*:} has $have bytes"
done

# promise RANKS NAME VALUE SETTING...: the plan of a run with these settings says what NAME = VALUE would save, and with it so much
# less is planned and it is not advised again.
promise() {
    ranks=$1 advised=$2 value=$3
    shift 3
    plan "$ranks" "$@"
    before="($peak - $outside)"
    less=$(sed -n "s/^ *\([0-9.]*\) MiB less  $advised = .*/\1/p" plan.txt)
    plan "$ranks" "$@" "$advised=$value"
    saved="($before - ($peak - $outside))"
    holds "${less:-0} > 0 && $saved - (${less:-0}) < 0.21 && (${less:-0}) - $saved < 0.21" "$advised = $value is to save $less MiB, saves $saved MiB"
    ! grep -q "less  $advised" plan.txt || fail "$advised is advised although it is so"
}
promise 1 model.recompute true
promise 2 parallel.shard true
promise 1 update.optimizer_state fast_state update.rule=gxpo update.optimizer_state=transactional

# The usable numbers of ranks.
grep -q '^ranks: 1 to 4; evenly shared by 1 2 4$' plan.txt || fail "ranks: $(grep '^ranks' plan.txt)"

# 4 prompts of 32 tokens, 16 answers of 40; by hand from the shapes.
plan 1 objective.kl_coef=0.1
awk 'BEGIN {
    C = 256; F = 1024; L = 4; H = 4; K = 2; D = 64
    V = '"$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' model/config.json)"'
    weights = L * (C * (H * D) + 2 * C * (K * D) + (H * D) * C + 3 * C * F)
    rows = 4 * 32 + 16 * 40
    for (i = 1; i <= 32; i++) keys += 4 * i
    for (i = 1; i <= 40; i++) keys += 16 * (32 + i)
    forward = 2 * weights * rows + 4 * L * H * D * keys + 2 * V * C * 16 * 40
    drawing = forward - 2 * weights * 16   # the last token of an answer is not fed
    backward = 2 * 2 * weights * rows + 2.5 * 4 * L * H * D * keys + 3 * 2 * V * C * 16 * 40
    printf "%.3f\n", 1e-12 * (drawing + forward + forward + backward)
}' >by_hand
have=$(sed -n 's/^  sum  *\([0-9.]*\) TFLOP$/\1/p' plan.txt)
[ "$have" = "$(cat by_hand)" ] || fail "a step takes $(cat by_hand) TFLOP, planned $have"

# The same with an adapter of rank 64 on q and down: no gradient of the model; u = x A once more in the backward.
plan 1 objective.kl_coef=0.1 lora.rank=64 lora.alpha=64 'lora.targets=["q","down"]'
awk 'BEGIN {
    C = 256; F = 1024; L = 4; H = 4; K = 2; D = 64
    V = '"$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' model/config.json)"'
    weights = L * (C * (H * D) + 2 * C * (K * D) + (H * D) * C + 3 * C * F)
    a = L * 64 * (C + F); b = L * 64 * (H * D + C)
    rows = 4 * 32 + 16 * 40
    for (i = 1; i <= 32; i++) keys += 4 * i
    for (i = 1; i <= 40; i++) keys += 16 * (32 + i)
    off = 2 * weights * rows + 4 * L * H * D * keys + 2 * V * C * 16 * 40
    on = off + 2 * (a + b) * rows
    drawing = on - 2 * (weights + a + b) * 16
    backward = 2 * weights * rows + 2 * (3 * a + 2 * b) * rows + 2.5 * 4 * L * H * D * keys + 2 * 2 * V * C * 16 * 40
    printf "%.3f\n", 1e-12 * (drawing + off + on + backward)
}' >by_hand
have=$(sed -n 's/^  sum  *\([0-9.]*\) TFLOP$/\1/p' plan.txt)
[ "$have" = "$(cat by_hand)" ] || fail "a step with an adapter takes $(cat by_hand) TFLOP, planned $have"

# An evaluation alone: memory while it loads and draws, and the arithmetic of 64 samples.
cat >eval.cfg <<END
run : { directory = "eval"; };
model : { path = "model"; };
prompt : { chat = "none"; };
eval : { sets = ( { name = "rows"; path = "rows.jsonl"; prompt = "question"; answer = "answer"; } ); samples = 8; pass_at = [ 1 ];
         max_new_tokens = 60; answers_in_flight = 32; top_k = 1; };
parallel : { threads = 1; };
END
for ranks in 1 2; do
    "$GRADUS" plan eval.cfg --ranks $ranks >plan.txt 2>err || fail "plan of an evaluation: $(cat err)"
    peak=$(sed -n 's/^  the most: \([0-9.]*\) MiB, in rollout$/\1/p' plan.txt)
    outside=$(awk '/^  program, libraries, MPI/ { print $4 }' plan.txt)
    rm -rf eval
    job $ranks eval eval.cfg || fail "eval: $(cat err)"
    have=$(sed -n 's/.*allocated_peak_mib = \([0-9.]*\).*/\1/p' err)
    holds "($peak - $outside) / $have > 0.99 && ($peak - $outside) / $have < 1.01" "an evaluation on $ranks ranks: planned $peak - $outside MiB, allocated $have"
done
awk 'BEGIN {
    C = 256; F = 1024; L = 4; H = 4; K = 2; D = 64
    V = '"$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' model/config.json)"'
    weights = L * (C * (H * D) + 2 * C * (K * D) + (H * D) * C + 3 * C * F)
    for (i = 1; i <= 32; i++) keys += 8 * i
    for (i = 1; i <= 60; i++) keys += 64 * (32 + i)
    printf "%.3f\n", 1e-12 * (2 * weights * (8 * 32 + 64 * 59) + 4 * L * H * D * keys + 2 * V * C * 64 * 60)
}' >by_hand
have=$(sed -n 's/^  drawing the samples  *\([0-9.]*\) TFLOP$/\1/p' plan.txt)
[ "$have" = "$(cat by_hand)" ] || fail "the samples take $(cat by_hand) TFLOP, planned $have"

# Of the game in two iterations: the discriminator is trained in each, or, with a step of its own, once. 4 windows of 30 + 30 tokens,
# 64 completions of 40 of each.
flops() {
    # shellcheck disable=SC2086
    plan 1 $game "$corpus" rollout.max_new_tokens=40 rollout.group_size=64 "$@"
    sed -n 's/^  sum  *\([0-9.]*\) TFLOP$/\1/p' plan.txt
}
reading=$(awk 'BEGIN {
    C = 256; F = 1024; L = 4; H = 4; K = 2; D = 64
    weights = L * (C * (H * D) + 2 * C * (K * D) + (H * D) * C + 3 * C * F)
    rows = 4 * (30 + 30) + 256 * 40
    for (i = 1; i <= 60; i++) keys += 4 * i
    for (i = 1; i <= 40; i++) keys += 256 * (30 + i)
    printf "%.4f\n", 1e-12 * (3 * 2 * weights * rows + 3.5 * 4 * L * H * D * keys)
}')
once=$(flops) both=$(flops update.iterations=2) apart=$(flops update.iterations=2 adversarial.d_step=own)
[ "$once" = "$(flops adversarial.d_step=own)" ] || fail "one iteration takes $once TFLOP, and another number with a step of its own"
# And features of its texts, of 40 tokens each.
features=$(awk 'BEGIN {
    C = 256; F = 1024; L = 4; H = 4; K = 2; D = 64
    weights = L * (C * (H * D) + 2 * C * (K * D) + (H * D) * C + 3 * C * F)
    printf "%.4f\n", 1e-12 * (4 + 256) * (2 * weights * 40 + 4 * L * H * D * 40 * 41 / 2)
}')
watched=$(flops mauve.every=10 mauve.features="$work/model")
holds "(($watched) - ($once) - ($features)) ^ 2 < 0.0011 ^ 2" "features of texts take $features TFLOP, planned $watched - $once"
holds "(($both) - ($apart) - ($reading)) ^ 2 < 0.0011 ^ 2" "the second training of a discriminator takes $reading TFLOP, planned $both - $apart"
finish
