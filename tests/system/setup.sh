#!/bin/sh
# setup.sh: data and small models for the system tests, below $SYSTEM_WORK: of each architecture one with random weights
# (NAME-start) and one that sft has taught to write the tags most of the time (NAME), so that rewards vary.
. "$(dirname "$0")/lib.sh"
rm -rf "$SYSTEM_WORK"
mkdir -p "$work" "$work.tmp"
cd "$work" || exit 1

awk 'BEGIN {
    for (a = 0; a < 8; a++)
        for (b = 0; b < 8; b++)
            printf "{\"question\": \"%d+%d=\", \"worked\": \"<think>%d</think><answer>%d</answer>\", \"answer\": \"%d\"}\n",
                   a, b, b, a, a
}' >"$SYSTEM_WORK/sums.jsonl"

cat >"$SYSTEM_WORK/input.cfg" <<'END'
run : { steps = 3; };
model : { path = "qwen2"; };
data : { train = ( { path = "sums.jsonl"; prompt = "question"; answer = "answer"; } ); };
prompt : { chat = "none"; };
rollout : { prompts_per_step = 6; group_size = 4; max_new_tokens = 40; };
objective : { gate = "erf"; };
update : { iterations = 2; };
optimizer : { learning_rate = 1e-3; };
parallel : { threads = 1; };
END

cat >"$SYSTEM_WORK/sft.cfg" <<'END'
run : { method = "sft"; steps = 100; };
data : { train = ( { path = "sums.jsonl"; prompt = "question"; answer = "worked"; } ); };
prompt : { chat = "none"; };
rollout : { prompts_per_step = 16; };
objective : { aggregation = "token_mean"; };
optimizer : { learning_rate = 1e-2; schedule = "cosine"; warmup_steps = 5; };
output : { rollouts_every = 0; };
parallel : { threads = 1; };
END

# model NAME INIT-OPTION...
model() {
    arch=$1
    shift
    job 1 init --arch "$arch" --layers 2 --width 32 --heads 4 --kv-heads 2 --mlp 64 --max-positions 128 "$@" \
        --output "$SYSTEM_WORK/$arch-start" || fail "init $arch"
    job 1 train "$SYSTEM_WORK/sft.cfg" model.path="$SYSTEM_WORK/$arch-start" run.directory="$work/$arch" || fail "sft of $arch: $(cat err)"
    mv "$arch/model" "$SYSTEM_WORK/$arch"
    first=$(value "$arch" /step/loss 0)
    last=$(value "$arch" /step/loss 99)
    holds "$last < 0.1 * $first" "the loss of sft on $arch"
}
model qwen2 --seed 1
model qwen3 --seed 2 --head-size 16 --untied
model llama --seed 3
finish
