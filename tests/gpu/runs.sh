#!/bin/sh
# runs.sh BUNDLE: whole runs of the bundled program on a GPU, with small models whose heads have 64 numbers. Texts that are given
# have the CPU's numbers up to rounding; a run of draws has the same bits twice and for any number of answers in flight; the
# sampler's log-probabilities are the trainer's. One line for each run: seconds, and what was computed.
set -u
bundle=$(cd "$1" && pwd)
gradus=$bundle/gradus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

awk 'BEGIN {
    for (a = 0; a < 8; a++)
        for (b = 0; b < 8; b++)
            printf "{\"question\": \"%d+%d=\", \"worked\": \"<think>%d</think><answer>%d</answer>\", \"answer\": \"%d\"}\n",
                   a, b, b, a, a
}' >sums.jsonl
cat >rl.cfg <<'END'
run : { steps = 3; device = "cuda"; };
data : { train = ( { path = "sums.jsonl"; prompt = "question"; answer = "answer"; } ); };
prompt : { chat = "none"; };
rollout : { prompts_per_step = 8; group_size = 8; max_new_tokens = 64; };
update : { iterations = 2; };
optimizer : { learning_rate = 1e-3; };
END
cat >sft.cfg <<'END'
run : { method = "sft"; steps = 3; device = "cuda"; };
data : { train = ( { path = "sums.jsonl"; prompt = "question"; answer = "worked"; } ); };
prompt : { chat = "none"; };
rollout : { prompts_per_step = 16; };
optimizer : { learning_rate = 1e-3; };
output : { rollouts_every = 0; };
END

# train CONFIG NAME SETTING...
train() {
    config=$1 run=$2
    shift 2
    began=$(date +%s)
    "$gradus" train "$config" run.directory="$work/$run" "$@" >"$run.log" 2>&1 || fail "$run: $(grep -E 'gradus: |error' "$run.log" | head -n 3)"
    echo "$run: $(($(date +%s) - began)) s"
}

# numbers NAME: metrics.jsonl without times and memory
numbers() {
    sed -E 's/"((time|memory)\/[^"]*|[a-z_\/]*tokens_per_s)": [^,}]*(, )?//g; s/, "crc32.*//' "$1/metrics.jsonl"
}

# same A B
same() {
    numbers "$1" >a
    numbers "$2" >b
    cmp -s a b || fail "the metrics of $1 and $2 differ: $(diff a b | head -n 4 | cut -c1-300)"
    cmp -s "$1/model/model.safetensors" "$2/model/model.safetensors" || fail "the models of $1 and $2 differ"
}

# metric NAME KEY STEP
metric() {
    sed -n "$3p" "$1/metrics.jsonl" | grep -o "\"$2\": [0-9.eE+-]*" | head -n 1 | sed 's/.*: //'
}

# close A B TOLERANCE: loss and norm of the gradient of the first two steps
close() {
    for key in loss grad_norm; do
        for step in 1 2; do
            x=$(metric "$1" $key $step)
            y=$(metric "$2" $key $step)
            awk "BEGIN { exit !(($x - $y) ^ 2 <= ($3 * $y) ^ 2) }" || fail "$key of step $step: $1 $x, $2 $y"
        done
    done
}

for arch in qwen2 qwen3; do
    # shellcheck disable=SC2046
    "$gradus" init --arch $arch --layers 3 --width 256 --heads 4 --kv-heads 2 --mlp 512 --max-positions 256 --seed 1 --output $arch \
        $([ $arch = qwen2 ] || echo --head-size 64 --untied) >init.log 2>&1 || fail "init: $(cat init.log)"
    for precision in fp32 bf16; do
        set -- model.path="$work/$arch" model.precision=$precision
        name=$arch-$precision
        train sft.cfg $name-sft "$@"
        train sft.cfg $name-sft-cpu "$@" run.device=cpu
        close $name-sft $name-sft-cpu $([ $precision = fp32 ] && echo 1e-4 || echo 2e-2)
        train rl.cfg $name-rl "$@"
        grep -q 'place:.*device = cuda (' $name-rl.log || fail "$name: the log does not name the GPU"
        for step in 1 2 3; do
            [ "$(metric $name-rl mismatch/logprob_max $step)" = 0 ] || fail "$name, step $step: the trainer's numbers are not the sampler's"
        done
        train rl.cfg $name-twice "$@"
        same $name-rl $name-twice
        train rl.cfg $name-flight "$@" rollout.answers_in_flight=5
        same $name-rl $name-flight
    done
done
exit $((failures > 0))
