#!/bin/sh
# cuda.sh PRECISION: runs through the CUDA backend, on the host where there is no GPU. Up to rounding they are the CPU's; their own
# bits are the same for any number of answers in flight and of ranks, on shards or not, in whatever order threads run; the sampler's log-probabilities
# are the trainer's.
. "$(dirname "$0")/lib.sh"
precision=$1
set -- model.precision=$precision run.device=cuda run.steps=2 checkpoint.every=1 checkpoint.keep=2 rollout.prompts_per_step=3 \
    rollout.group_size=2 rollout.max_new_tokens=10 parallel.groups_per_tile=1 'reward.parts=({name="length";weight=1.0})'
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/one" "$@" || {
    grep -q 'there is no backend "cuda"' err && {
        echo "skipped: built without CUDA"
        exit 77
    }
    fail "train: $(cat err)"
    finish
}
for step in 0 1; do
    [ "$(value one /step/mismatch/logprob_max $step)" = 0 ] || fail "step $((step + 1)): the trainer's numbers are not the sampler's"
done
holds "$(value one /step/grad_norm 0) > 0" "something is learned"

# close NAME TOLERANCE PATH ROW: a number of the run NAME, which is $1's, and of the CPU's.
close() {
    a=$(value "$1" "$3" "$4")
    b=$(value "$1-cpu" "$3" "$4")
    holds "($a - $b)^2 <= ($2 * $b)^2" "$3 of $1, row $4, is $a, on the CPU $b"
}

# Of given texts all numbers are the CPU's; of drawn ones in fp32, where rounding changes no token.
tolerance=1e-5
[ "$precision" = fp32 ] || tolerance=1e-2
for device in cuda cpu; do
    name=sft
    [ $device = cuda ] || name=sft-cpu
    job 1 train "$SYSTEM_WORK/sft.cfg" model.path="$SYSTEM_WORK/qwen2" run.directory="$work/$name" run.steps=2 optimizer.warmup_steps=0 \
        model.precision=$precision run.device=$device rollout.prompts_per_step=4 || fail "sft on $device: $(cat err)"
done
close sft $tolerance /step/loss 0
close sft $tolerance /step/loss 1
close sft $tolerance /step/grad_norm 0
if [ "$precision" = fp32 ]; then
    train 1 one-cpu "$@" run.device=cpu
    "$SYSTEM_TOOL" same one/rollouts/step-000001.h5 one-cpu/rollouts/step-000001.h5 /provenance logprob entropy gate loss ratio kl advantage \
        reward || fail "other tokens were drawn than on the CPU"
    close one 1e-4 /step/grad_norm 0
fi

# What a plan says is what is held.
"$GRADUS" plan "$SYSTEM_WORK/input.cfg" run.directory="$work/planned" "$@" >plan.txt || fail "plan"
planned=$(awk '/^  the most:/ { most = $3 } /^  program, libraries, MPI/ { outside = $4 } END { print most - outside }' plan.txt)
held=$(sed -n 's/.*allocated_peak_mib = \([0-9.]*\).*/\1/p' one/log.txt)
holds "$planned / $held > 0.99 && $planned / $held < 1.01" "planned $planned MiB, allocated $held MiB"

train 1 alone "$@" rollout.answers_in_flight=1
same_whole one alone
train 2 two "$@" rollout.answers_in_flight=2
same_whole one two
# What the library had chosen when a checkpoint was made is taken again: here one that sums from behind, which it would not choose
# any more. One that it does not have is chosen anew, and said. The library is the host's.
if [ "$precision" = fp32 ] && ! nvidia-smi >/dev/null 2>&1; then
    GRADUS_HOST_ALGORITHM=2 && export GRADUS_HOST_ALGORITHM
    train 1 behind "$@"
    differ one/checkpoints/step-000002.h5 behind/checkpoints/step-000002.h5 /provenance /manifest /settings /state
    train 1 again "$@" run.steps=1
    unset GRADUS_HOST_ALGORITHM
    train 1 again "$@"
    same_whole behind again
    grep -q 'does not offer' again/log.txt && fail "a choice was lost"
    GRADUS_HOST_ALGORITHM=99 && export GRADUS_HOST_ALGORITHM
    train 1 lost "$@" run.steps=1
    unset GRADUS_HOST_ALGORITHM
    train 1 lost "$@"
    grep -q "does not offer the checkpoint's algorithm for products of .*: its products are taken by others" lost/log.txt ||
        fail "nobody said that algorithms are lost"
fi
GRADUS_FIBER_SEED=0
export GRADUS_FIBER_SEED
train 3 three "$@" parallel.shard=true
same_whole one three

# Thinking is closed by force there as on the CPU: the same tokens in fp32, for any number in flight.
head -n 2 "$SYSTEM_WORK/sums.jsonl" >some.jsonl
for how in cpu cuda few; do
    device=${how#few}
    job 1 generate "$SYSTEM_WORK/input.cfg" --input some.jsonl --output $how.jsonl model.precision=$precision run.device=${device:-cuda} \
        rollout.answers_in_flight=$([ $how = few ] && echo 1 || echo 0) rollout.group_size=2 rollout.max_new_tokens=20 \
        rollout.think_tokens=6 rollout.answer_tokens=5 'rollout.think_close="</t>"' reward.think_tag=t || fail "generate on $how: $(cat err)"
done
cmp cuda.jsonl few.jsonl || fail "forced answers depend on the number in flight"
grep -q '"forced":\[6,10\]' cuda.jsonl || fail "nothing is forced: $(cat cuda.jsonl)"
[ $precision != fp32 ] || cmp cpu.jsonl cuda.jsonl || fail "forced answers are not the CPU's"
finish
