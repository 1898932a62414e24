#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# compare_rules.sh [group.name=value ...]: GRPO, SFPO and GXPO on the quickstart's task, several seeds each, by
# input/compare_rules.cfg; then what each reward cost in steps, backward passes and time. It needs what jobs/quickstart.sh
# leaves (build/gradus, runs/quickstart), and makes the start model and the data where they are missing. A run that is over is not
# made again: an interrupted comparison goes on.
#
#   SEEDS    how many, from 1 [5]
#   RANKS    of each run [2]
#   FOLDER   of the runs [runs/compare]
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${SEEDS:-5}
folder=${FOLDER:-runs/compare}
start=runs/quickstart
gradus=build/gradus
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1   # containers
python=$(sh jobs/packages.sh --python)
mkdir -p "$start" "$folder"

train() { mpirun -n "${RANKS:-2}" "$gradus" train "$@" 2>>"$folder/log.txt"; }

if [ ! -f "$start/sft/model/model.safetensors" ]; then
    "$gradus" init --arch qwen2 --layers 3 --width 96 --heads 4 --kv-heads 2 --mlp 256 --max-positions 256 --seed 1 --output $start/start
    "$python" jobs/quickstart_data.py $start
    train input/quickstart_sft.cfg
fi

compare() {
    local name=$1 seed
    shift
    for seed in $(seq 1 "$seeds"); do
        echo "$name, seed $seed"
        train input/compare_rules.cfg run.directory="$folder/$name-$seed" run.seed="$seed" "$@"
    done
}
compare grpo "$@"
compare sfpo-3 update.rule=sfpo update.virtual_steps=3 "$@"
for depth in 3 5 10; do
    compare gxpo-$depth update.rule=gxpo update.virtual_steps=$depth "$@"
done
"$python" analysis/budget.py "$folder"/{grpo,sfpo-3,gxpo-3,gxpo-5,gxpo-10}-* --output "$folder/budget.png" | tee "$folder/budget.txt"
