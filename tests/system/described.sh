#!/bin/sh
# described.sh: every dataset of every HDF5 file says its units and what it is.
. "$(dirname "$0")/lib.sh"
train 1 run checkpoint.every=3 objective.kl_coef=0.1 objective.kl_in=reward
echo '{"text": "1+1="}' >texts.jsonl
job 1 score --model "$SYSTEM_WORK/qwen2" --input texts.jsonl --output score.h5 || fail "score: $(cat err)"
for file in run/diagnostics.h5 run/rollouts/step-000001.h5 run/checkpoints/step-000003.h5 score.h5; do
    "$SYSTEM_TOOL" described "$file" || fail "$file holds a dataset without units or description"
done
finish
