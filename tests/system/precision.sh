#!/bin/sh
# precision.sh: model.precision = "bf16" in whole runs. Where bf16 weights are widened, a run from a bf16 directory is, up to its
# first update, the fp32 run of the same numbers; with every instruction set the sampler's log-probabilities are the trainer's.
# The master stays fp32 and keeps small updates. A model of odd width is refused.
. "$(dirname "$0")/lib.sh"
train 1 start model.path="$SYSTEM_WORK/qwen2" run.steps=1 checkpoint.every=1
job 1 export start/checkpoints/step-000001.h5 --output half --precision bf16 || fail "export: $(cat err)"
echo '{"text": "1+2=3, 20-7=13"}' >texts.jsonl
echo '{"prompt": "3+4="}' >prompts.jsonl

# scores and greedy answers PRECISION NAME
answers() {
    job 1 score --model half --precision "$1" --input texts.jsonl --output "$2.h5" || fail "score --precision $1: $(cat err)"
    job 1 generate "$SYSTEM_WORK/input.cfg" model.path="$work/half" model.precision="$1" --input prompts.jsonl --output "$2.jsonl" ||
        fail "generate in $1: $(cat err)"
}

for isa in plain avx2 avx512 avx512bf16; do
    GRADUS_ISA=$isa "$GRADUS" score --model half --input texts.jsonl --output probe.h5 >/dev/null 2>err || {
        echo "not on this machine: $(cat err)"
        continue
    }
    export GRADUS_ISA=$isa
    for precision in fp32 bf16; do
        train 1 $isa-$precision model.path="$work/half" model.precision=$precision update.iterations=1 checkpoint.every=1 checkpoint.keep=3 objective.kl_coef=0.1
        answers $precision $isa-$precision
    done
    for step in 0 1 2; do
        [ "$(value $isa-bf16 /step/mismatch/logprob_max $step)" = 0 ] || fail "$isa, step $((step + 1)): the trainer's numbers are others"
    done
    if [ $isa = avx512bf16 ]; then
        differ $isa-fp32.h5 $isa-bf16.h5 /provenance
    else
        same $isa-fp32.h5 $isa-bf16.h5 /provenance
        cmp $isa-fp32.jsonl $isa-bf16.jsonl || fail "$isa: answers in fp32 and bf16 differ"
        same $isa-fp32/rollouts/step-000001.h5 $isa-bf16/rollouts/step-000001.h5 /provenance
        same $isa-fp32/checkpoints/step-000001.h5 $isa-bf16/checkpoints/step-000001.h5 /provenance /manifest /settings
        differ $isa-fp32/checkpoints/step-000003.h5 $isa-bf16/checkpoints/step-000003.h5 /provenance /manifest /settings
    fi
    unset GRADUS_ISA
done

# Updates far below the spacing of bf16 numbers stay in the master, in the checkpoint, and in the model at the end.
train 1 slow model.path="$work/half" model.precision=bf16 optimizer.learning_rate=1e-6 checkpoint.every=1 checkpoint.keep=3
differ slow/checkpoints/step-000001.h5 slow/checkpoints/step-000003.h5 /provenance /manifest /settings /optimizer
[ $(wc -c <slow/model/model.safetensors) -gt $(($(wc -c <half/model.safetensors) * 19 / 10)) ] || fail "the model of a bf16 run is not fp32"

job 1 init --arch llama --layers 1 --width 32 --heads 4 --kv-heads 2 --mlp 65 --max-positions 128 --output odd || fail "init: $(cat err)"
for command in train plan; do
    job 1 $command "$SYSTEM_WORK/input.cfg" run.directory="$work/odd-run" model.path="$work/odd" model.precision=bf16 &&
        fail "$command takes a model of odd width"
    [ "$(grep -c '^gradus: error: ' err)" = 1 ] || fail "$command: not one sentence: $(cat err)"
    grep -q 'bf16.*intermediate_size is 65' err || fail "$command of a model of odd width: $(cat err)"
done
finish
