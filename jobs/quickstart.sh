#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# quickstart.sh [group.name=value ...]: the main job in small, on the CPU with 2 MPI ranks, in some minutes. It installs
# what is missing, builds gradus, makes a small model, teaches it by worked examples how an answer looks (method sft), trains
# it by rewards (method rl, erf gate), and shows what became better. Settings are changes to input/quickstart_rl.cfg.
#
# The build goes to build/, all else to runs/quickstart, which a second call replaces.
set -euo pipefail
cd "$(dirname "$0")/.."

work=runs/quickstart
gradus=build/gradus
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1   # containers
export OMPI_MCA_odls_base_sigkill_timeout=10   # an interrupt leaves the ranks time for a checkpoint
say() { printf '\n== %s\n' "$*"; }

# quietly COMMAND...: its output only when it fails.
quietly() {
    "$@" >"$work/last.log" 2>&1 || { tail -n 40 "$work/last.log" >&2; return 1; }
}

# Of the log lines of a run on standard input, the steps as one live line; on a terminal it is rewritten in place, elsewhere
# every fiftieth step stands for the others. What is no step stays as it is.
show_progress() {
    local line='' show live='' name value
    while IFS= read -r line; do
        if [[ $line != *" run: step = "* ]]; then
            printf '%s%s\n' "$live" "$line"
            live=''
            continue
        fi
        show="step ${line#* run: step = }"
        show=${show%%,*}
        for name in loss reward answer format eur_last_pass tokens_per_s left_s; do
            value=${line#*, "$name" = }
            [ "$value" = "$line" ] || show+="   $name ${value%%,*}"
        done
        if [ -t 1 ]; then
            printf '\r\033[K%s' "$show"
            live=$'\n'
        elif [[ $show =~ ^step\ [0-9]*[05]0/ ]]; then
            echo "$show"
        fi
    done
    printf '%s' "$live"
}

train() { mpirun -n 2 "$gradus" train "$@" 2>&1 | show_progress; }

# Most probable answers of the model in $1 to the problems never trained on, to $2.
answer_test() {
    quietly mpirun -n 2 "$gradus" generate input/quickstart_rl.cfg --input $work/test.jsonl --output "$2" \
        model.path="$PWD/$1" rollout.temperature=0 rollout.group_size=1
}

rm -rf $work
mkdir -p $work

say "packages and build"
sh jobs/packages.sh --quickstart
python=$(sh jobs/packages.sh --python)
quietly cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DGRADUS_DEVELOPER=OFF
quietly cmake --build build --target gradus --parallel "$(nproc)"
"$gradus" --version

say "a small Qwen2-shaped model of random weights, and sums to learn"
quietly "$gradus" init --arch qwen2 --layers 3 --width 96 --heads 4 --kv-heads 2 --mlp 256 --max-positions 256 --seed 1 \
    --output $work/start
"$python" jobs/quickstart_data.py $work
wc -l $work/*.jsonl | sed '$d'

say "first half: worked examples of uneven quality (method sft)"
train input/quickstart_sft.cfg
answer_test $work/sft/model $work/before.jsonl

say "second half: rewards alone (method rl, erf gate, two passes over each batch)"
train input/quickstart_rl.cfg "$@"
answer_test $work/rl/model $work/after.jsonl

say "what became of it, and two answers to problems never trained on"
"$python" analysis/summary.py $work/rl --before $work/before.jsonl --after $work/after.jsonl --show 2
"$python" analysis/curves.py $work/rl --output $work/curves.png
rm -f $work/last.log
echo
echo "($SECONDS s on $(nproc) cores of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1); figures vary a little with the CPU)"

say "next"
cat <<END
one answer token by token:         $gradus inspect --answer 0 $work/rl/rollouts/$(ls $work/rl/rollouts | tail -n 1)
the same run with GRPO's clip:     mpirun -n 2 $gradus train input/quickstart_rl.cfg objective.gate=clip run.directory=$work/clip
the two side by side:              $python analysis/summary.py $work/rl $work/clip
                                   $python analysis/curves.py $work/rl $work/clip
your own model and data:           input/README
END
