#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# compare_rules.sh [group.name=value ...]: GRPO, SFPO and GXPO on the quickstart's sums with a smaller model, several seeds each, by
# input/compare_rules.cfg; then what each reward cost in steps, backward passes and time (analysis/compare.py). It needs build/gradus,
# and makes data and the start model itself. All goes to runs/compare. A run that is over is not made again: an interrupted
# comparison goes on.
#
#   SEEDS    how many, from 1 [5]
#   RANKS    of each run [1]
set -euo pipefail
cd "$(dirname "$0")/.."

work=runs/compare
gradus=build/gradus
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1   # containers
python=$(sh jobs/packages.sh --python)
mkdir -p $work

train() { mpirun -n "${RANKS:-1}" "$gradus" train "$@" 2>>$work/log.txt; }

# compare NAME SETTING...: a run for each seed.
compare() {
    local name=$1 seed
    shift
    for seed in $(seq 1 "${SEEDS:-5}"); do
        echo "$name, seed $seed"
        train input/compare_rules.cfg run.directory="$work/$name-$seed" run.seed="$seed" "$@"
    done
}

if [ ! -f $work/sft/model/model.safetensors ]; then
    "$gradus" init --arch qwen2 --layers 2 --width 48 --heads 4 --kv-heads 2 --mlp 128 --max-positions 256 --seed 1 --output $work/start
    "$python" jobs/quickstart_data.py $work
    train input/quickstart_sft.cfg model.path=$work/start run.directory=$work/sft \
        "data.train=( { path = \"$PWD/$work/worked.jsonl\"; prompt = \"question\"; answer = \"worked\"; } )"
fi
compare grpo run.steps=150 "$@"   # as many backward passes as gxpo makes in 50 steps
compare sfpo-3 update.rule=sfpo update.virtual_steps=3 "$@"
for depth in 3 5 10; do
    compare gxpo-$depth update.rule=gxpo update.virtual_steps=$depth "$@"
done
"$python" analysis/compare.py $work/{grpo,sfpo-3,gxpo-3,gxpo-5,gxpo-10}-* --output $work/comparison | tee $work/comparison.txt
