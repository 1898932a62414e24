#!/bin/sh
# runs.sh BUNDLE CASE: whole runs of the bundled program on a GPU, with small models whose heads have 64 numbers; runs.sh --cases
# names the cases. What holds without a reference is asked of each: the same bits twice and for other numbers of answers in flight,
# the sampler's log-probabilities are the trainer's, no memory is taken from the second step on, as much is held as is planned.
# Texts that are given have the CPU's numbers up to rounding. One line for each run: seconds, and what it took.
#
#   GRADUS_RUNS=small   heads of 8 numbers, few and short answers: where the host stands in for a GPU
set -u
cases="given-fp32 given-bf16 rl-fp32 rl-bf16 budget lora gxpo eval opsd game own mauve"
[ "${1:-}" != --cases ] || {
    echo "$cases"
    exit 0
}
bundle=$(cd "$1" && pwd)
case=$2
gradus=$bundle/gradus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT
cd "$work" || exit 1
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

size="--layers 3 --width 256 --heads 4 --kv-heads 2 --mlp 512 --max-positions 256" head=64 group=8 tokens=64
[ "${GRADUS_RUNS:-}" != small ] ||
    size="--layers 2 --width 32 --heads 4 --kv-heads 2 --mlp 64 --max-positions 256" head=8 group=2 tokens=16

awk 'BEGIN {
    for (a = 0; a < 8; a++)
        for (b = 0; b < 8; b++)
            printf "{\"question\": \"%d+%d=\", \"worked\": \"<think>%d</think><answer>%d</answer>\", \"answer\": \"%d\"}\n",
                   a, b, b, a, a
}' >sums.jsonl
awk 'BEGIN {
    for (row = 0; row < 16; row++) {
        printf "{\"text\": \""
        for (i = 0; i < 24; i++)
            printf "%d%s%d ", row * i % 7, i % 3 ? "+" : "=", i % 10
        print "\"}"
    }
}' >texts.jsonl
common="prompt : { chat = \"none\"; };
rollout : { prompts_per_step = $group; group_size = $group; max_new_tokens = $tokens; };
optimizer : { learning_rate = 1e-3; };"
cat >rl.cfg <<END
run : { steps = 3; device = "cuda"; };
data : { train = ( { path = "sums.jsonl"; prompt = "question"; answer = "answer"; } ); };
reward : { parts = ( { name = "length"; weight = 1.0; } ); };
update : { iterations = 2; };
$common
END
cat >opsd.cfg <<END
run : { method = "opsd"; steps = 3; device = "cuda"; };
data : { train = ( { path = "sums.jsonl"; prompt = "question"; answer = "answer"; solution = "worked"; } ); };
distill : { teacher = "ema"; ema_decay = 0.5; teacher_template = "{prompt} is like {solution}\n{prompt}"; };
$common
END
cat >game.cfg <<END
run : { method = "adversarial"; steps = 3; device = "cuda"; };
data : { corpus = ( { path = "texts.jsonl"; } ); };
adversarial : { window_tokens = 40; completion_tokens = 8; head_learning_rate = 1e-2; };
objective : { kl_coef = 0.05; };
$common
END
cat >corpus.cfg <<END
run : { steps = 3; device = "cuda"; };
data : { corpus = ( { path = "texts.jsonl"; } ); };
adversarial : { window_tokens = 40; completion_tokens = 20; };
reward : { parts = ( { name = "length"; weight = 1.0; } ); };
$common
END
cat >sft.cfg <<END
run : { method = "sft"; steps = 3; device = "cuda"; };
data : { train = ( { path = "sums.jsonl"; prompt = "question"; answer = "worked"; } ); };
output : { rollouts_every = 0; };
$common
END

# train CONFIG NAME SETTING...: fails when the run does.
train() {
    config=$1 run=$2
    shift 2
    began=$(date +%s)
    "$gradus" train "$config" run.directory="$work/$run" "$@" >"$run.log" 2>&1 || {
        fail "$run: $(grep -E 'gradus: |error' "$run.log" | head -n 3 | cut -c1-600)"
        return 1
    }
    echo "$run: $(($(date +%s) - began)) s, outside the books $(metric "$run" memory/outside 3) bytes"
}

# metric NAME KEY STEP: nothing where the step has no such number.
metric() {
    sed -n "$3p" "$1/metrics.jsonl" 2>/dev/null | grep -o "\"$2\": [-0-9.eE+]*" | head -n 1 | sed 's/.*: //'
}

# numbers NAME: metrics.jsonl without times and memory
numbers() {
    sed -E 's/"((time|memory)\/[^"]*|[a-z_\/]*tokens_per_s)": [^,}]*(, )?//g; s/, "crc32.*//' "$1/metrics.jsonl"
}

# same A B: two runs have the same numbers, and left the same model or adapter, and head of a discriminator.
same() {
    numbers "$1" >a
    numbers "$2" >b
    if [ ! -s a ] || ! cmp -s a b; then
        fail "the metrics of $1 and $2 differ: $(diff a b | head -n 4 | cut -c1-300)"
    fi
    for file in "$1"/model/*.safetensors "$1"/adapter/*.safetensors; do
        [ ! -f "$file" ] || cmp -s "$file" "$2/${file#*/}" || fail "${file#*/} of $1 and $2 differ"
    done
    [ -n "$(find "$1" -name '*.safetensors')" ] || fail "$1 has left no model"
}

# close A B TOLERANCE: loss and norm of the gradient of the first two steps
close() {
    for key in loss grad_norm; do
        for step in 1 2; do
            x=$(metric "$1" $key $step)
            y=$(metric "$2" $key $step)
            awk "BEGIN { exit !((${x:-1} - ${y:-0}) ^ 2 <= ($3 * ${y:-0}) ^ 2) }" || fail "$key of step $step: $1 $x, $2 $y"
        done
    done
}

# settled NAME: the sampler is the trainer, and from the second step on no memory is taken.
settled() {
    for step in 1 2 3; do
        x=$(metric "$1" mismatch/logprob_max $step)
        [ "$x" = 0 ] || fail "$1, step $step: the trainer's log-probabilities are $x off the sampler's"
        x=$(metric "$1" memory/blocks_taken $step)
        [ $step = 1 ] || [ "$x" = 0 ] || fail "$1, step $step: $x blocks of memory were taken"
    done
    [ -n "$(metric "$1" memory/outside 3)" ] || fail "$1 does not tell memory/outside"
    sed -n 's/.*\(place: .*\)/\1/p' "$1.log" | head -n 1 | grep -q 'device = cuda' || fail "$1: the log does not name the GPU"
}

# planned CONFIG NAME SETTING...: what is planned is held, within 2 %.
planned() {
    config=$1 run=$2
    shift 2
    "$gradus" plan "$config" run.directory="$work/planned" "$@" >plan.txt 2>&1 || fail "plan: $(tail -n 2 plan.txt)"
    planned=$(awk '/^  the most:/ { most = $3 } /^  program, libraries, MPI/ { outside = $4 } END { print most - outside }' plan.txt)
    held=$(sed -n 's/.*allocated_peak_mib = \([0-9.]*\).*/\1/p' "$run.log" | tail -n 1)
    echo "$run: planned $planned MiB, allocated ${held:-nothing}"
    awk "BEGIN { ratio = $planned / ${held:-1e30}; exit !(ratio > 0.98 && ratio < 1.02) }" ||
        fail "$run: planned $planned MiB, allocated ${held:-nothing}"
}

# holds CONFIG NAME SETTING...: all that is asked of a run.
holds() {
    config=$1 name=$2
    shift 2
    train "$config" "$name" "$@" || return
    settled "$name"
    planned "$config" "$name" "$@"
    train "$config" "$name-twice" "$@" && same "$name" "$name-twice"
    train "$config" "$name-flight" "$@" rollout.answers_in_flight=3 && same "$name" "$name-flight"
}

# made ARCH: a random model.
# shellcheck disable=SC2046,SC2086
made() {
    "$gradus" init --arch $1 $size --seed 1 --output $1 $([ $1 = qwen2 ] || echo --head-size $head --untied) >init.log 2>&1 ||
        fail "init: $(cat init.log)"
}

made qwen2
judge='adversarial.judge_template={prefix}|{completion}?<think>'
case $case in
given-* | rl-*)
    precision=${case#*-}
    tolerance=1e-4
    [ "$precision" = fp32 ] || tolerance=2e-2
    made qwen3
    for arch in qwen2 qwen3; do
        set -- model.path="$work/$arch" model.precision="$precision"
        name=$arch-$case
        if [ "${case%-*}" = rl ]; then
            holds rl.cfg "$name" "$@"
            continue
        fi
        train sft.cfg "$name" "$@" && train sft.cfg "$name-cpu" "$@" run.device=cpu &&
            close "$name" "$name-cpu" "$tolerance"
    done
    exit $((failures > 0))
    ;;
esac
set -- model.path="$work/qwen2" model.precision=bf16
case $case in
budget)
    holds rl.cfg budget "$@" rollout.think_tokens=6 rollout.answer_tokens=8 'rollout.think_close="</t>"' reward.think_tag=t
    x=$(metric budget completions/forced_ratio 1)
    awk "BEGIN { exit !(${x:-0} > 0) }" || fail "no thinking was ended by force"
    ;;
lora) holds rl.cfg lora "$@" lora.rank=8 lora.alpha=16 ;;
gxpo) holds rl.cfg gxpo "$@" update.rule=gxpo update.iterations=1 ;;
eval)
    holds rl.cfg eval "$@" eval.every=2 eval.samples=2 'eval.pass_at=[1]' eval.max_new_tokens=14 \
        "eval.sets=({name=\"sums\";path=\"$work/sums.jsonl\";prompt=\"question\";answer=\"answer\";limit=12;})"
    for run in eval eval-twice eval-flight; do
        grep -o 'eval: step = [0-9]*, set = [^,]*, pass_at_1 = [^,]*, error = [^,]*' $run.log >$run.found
        cmp -s eval.found $run.found || fail "$run finds $(cat $run.found), eval $(cat eval.found)"
    done
    grep -q 'step = 2' eval.found || fail "nothing was evaluated on the way"
    ;;
opsd) holds opsd.cfg opsd "$@" ;;
game)
    holds game.cfg game "$@" lora.rank=8 lora.alpha=16 rollout.think_tokens=6 rollout.max_new_tokens=32 adversarial.reason_tokens=12 "$judge"
    [ -n "$(metric game adversarial/reason_loss 2)" ] || fail "the discriminator does not reason"
    ;;
own) holds game.cfg own "$@" adversarial.d_step=own adversarial.reason_tokens=12 "$judge" ;;
mauve)
    holds corpus.cfg mauve "$@" mauve.every=1 mauve.features="$work/qwen2" mauve.generations=8 mauve.buckets=3 update.iterations=1
    [ -n "$(metric mauve mauve/mauve 3)" ] || fail "there is no MAUVE"
    ;;
*) fail "there is no case $case" ;;
esac
exit $((failures > 0))
