#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job in small, on the CPU with 2 MPI ranks, in some minutes: builds gradus, makes a small model, teaches it by worked
# examples how an answer looks (method sft), then trains it by rewards (method rl, erf gate), and shows what became better.
#
#     jobs/quickstart.sh [group.name=value ...]      the settings are changes to input/quickstart_rl.cfg
#
# Everything is written below runs/quickstart; the build is in build/. Packages are installed by jobs/packages.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

work=runs/quickstart
gradus=build/src/gradus
ranks=2
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1   # containers run as root
say() { printf '\n== %s\n' "$*"; }

# The sums a + b of one digit more or less, with and without a worked answer. One in eight is kept apart and never trained on.
make_sums() {
    awk -v work="$work" 'BEGIN {
        srand(7)
        for (a = 0; a < 40; a++) for (b = 0; b < 40; b++) {
            line = sprintf("{\"question\": \"%d+%d=\\n\", \"prompt\": \"%d+%d=\\n\", \"answer\": \"%d\"}", a, b, a, b, a + b)
            if ((a * 40 + b) * 2654435761 % 4294967296 < 536870912) { print line > (work "/test.jsonl"); continue }
            print line > (work "/train.jsonl")
            # What it is taught is imperfect on purpose: rewards are to find out which of it is good.
            for (copy = 0; copy < 4; copy++) {
                sum = rand() < 0.8 ? a + b : a + b + int(rand() * 5) - 2
                shape = rand()
                text = sprintf("<think>%d+%d=%d</think><answer>%d</answer>", a, b, sum, sum)
                if (shape < 0.15) text = sprintf("<think>%d+%d=%d</think><answer>%d", a, b, sum, sum)
                else if (shape < 0.30) text = sprintf("It is <answer>%d</answer>", sum)
                else if (shape < 0.40) text = sprintf("%d.", sum)
                printf "{\"question\": \"%d+%d=\\n\", \"worked\": \"%s\"}\n", a, b, text > (work "/worked.jsonl")
            }
        }
    }'
}

# Greedy answers of the model in $1 to the problems never trained on, to $2.
answer_test() {
    "$gradus" generate input/quickstart_rl.cfg --input $work/test.jsonl --output "$2" model.path="$PWD/$1" \
        rollout.temperature=0 rollout.group_size=1
}

say "packages"
jobs/packages.sh --quickstart

say "build"
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DGRADUS_DEVELOPER=OFF > build.log 2>&1 || { cat build.log; exit 1; }
cmake --build build --target gradus -j "$(nproc)" >> build.log 2>&1 || { tail -40 build.log; exit 1; }
rm -f build.log

say "a small Qwen2-shaped model and sums to learn"
rm -rf $work && mkdir -p $work
"$gradus" init --arch qwen2 --layers 4 --width 128 --heads 4 --kv-heads 2 --mlp 384 --max-positions 256 --seed 1 --output $work/start
make_sums
wc -l $work/worked.jsonl $work/train.jsonl $work/test.jsonl

say "first half: the shape of an answer, from worked examples (sft)"
mpirun --oversubscribe -n $ranks "$gradus" train input/quickstart_sft.cfg
answer_test $work/sft/model $work/before.jsonl

say "second half: rewards only (rl, erf gate, two passes a batch)"
mpirun --oversubscribe -n $ranks "$gradus" train input/quickstart_rl.cfg "$@"
answer_test $work/rl/model $work/after.jsonl

say "what became of it"
python3 analysis/summary.py $work/rl --before $work/before.jsonl --after $work/after.jsonl
python3 analysis/curves.py $work/rl --output $work/curves.png
