#!/bin/sh
# gpus.sh: which GPU a rank takes, in the four ways in which sites show them to ranks; two ranks with one GPU, and GPUs of two kinds,
# are refused. GPUs are made up: the host stands in for four of them, each with a UUID and a place on the bus.
. "$(dirname "$0")/lib.sh"
GRADUS_HOST_GPUS=4
export GRADUS_HOST_GPUS RANK_SETUP
local='${OMPI_COMM_WORLD_LOCAL_RANK:-${MPI_LOCALRANKID:-0}}'
settings="run.device=cuda run.steps=1 rollout.max_new_tokens=1 rollout.group_size=2 rollout.prompts_per_step=4 parallel.groups_per_tile=1"

# first RANKS NAME: the first step of a run.
first() {
    # shellcheck disable=SC2086
    job "$1" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$2" $settings
}

# check RANKS WAY VISIBLE GPU: GPU is of rank $rank.
check() {
    RANK_SETUP="local=$local; $3"
    first "$1" "$2-$1" || {
        grep -q 'there is no backend "cuda"' err && {
            echo "skipped: built without CUDA"
            exit 77
        }
        fail "$2 on $1 ranks: $(cat err)"
        return
    }
    for rank in $(seq 0 $(($1 - 1))); do
        gpu=$(eval "echo $4")
        line=$(grep "rank = $rank of $1," "$2-$1/log.txt")
        case $line in
        *"host = $(hostname), "*"GPU-0000000$gpu-0000-0000-0000-000000000000, PCI 0000:$(printf %02X $((23 + gpu))):00.0, NUMA node $((gpu / 2)))"*) ;;
        *) fail "$2 on $1 ranks: rank $rank must have GPU $gpu: $line" ;;
        esac
    done
}

for ranks in 1 2 4; do
    check $ranks one 'export CUDA_VISIBLE_DEVICES=$local' '$rank'
    check $ranks all 'export CUDA_VISIBLE_DEVICES=0,1,2,3' '$rank'
    check $ranks none 'unset CUDA_VISIBLE_DEVICES' '$rank'
    check $ranks turned 'export CUDA_VISIBLE_DEVICES=$((3 - local))' '$((3 - rank))'
done
check 2 listed 'export CUDA_VISIBLE_DEVICES=GPU-00000003,1' '$((3 - 2 * rank))'
grep -q 'sums over the ranks = nccl (from GPU to GPU, the host in place of NCCL)' one-2/log.txt || fail "the log does not tell what sums: $(grep place one-2/log.txt)"

# refused RANKS WAY VISIBLE SENTENCE
refused() {
    RANK_SETUP="local=$local; $3"
    first "$1" "$2"
    [ $? = 2 ] || fail "$2: exit status is not 2: $(cat err)"
    ours | grep -q "$4" || fail "$2: the sentence is '$(ours)'"
    [ ! -e "$2/log.txt" ] || fail "$2: a log was begun"
}
refused 2 shared 'export CUDA_VISIBLE_DEVICES=2' "ranks 0 and 1 have the same GPU of .*GPU-00000002.*CUDA_VISIBLE_DEVICES: 2); start one rank for each GPU"
refused 2 hidden 'export CUDA_VISIBLE_DEVICES=' "this process sees no GPU"
refused 4 few 'export CUDA_VISIBLE_DEVICES=0,1' "this node has 4 ranks but shows 2 GPUs: rank 2"
refused 2 mixed 'export GRADUS_HOST_GPU_NAME="kind $local"' "rank 0 on .* computes by .*; kind 0, compute capability 8.0, rank 1 on .* by .*; kind 1, .*ask for nodes of one kind"
settings="$settings parallel.reduction=fast"
first 2 fast || fail "GPUs of two kinds with sums in floating point: $(cat err)"

# What computed stands in the files.
RANK_SETUP=
first 1 origin || fail "origin: $(cat err)"
grep -aq 'a GPU made up, compute capability 8.0' origin/diagnostics.h5 || fail "the kind of GPU is not in the provenance"
finish
