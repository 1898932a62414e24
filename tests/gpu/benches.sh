#!/bin/sh
# benches.sh BUNDLE CASE: `gradus bench` of the bundled program on a GPU, WHAT-SIZE of Qwen2.5; benches.sh --cases names the cases,
# the goals' first. goals.awk takes the goals' figures from what they print.
set -u
[ "${1:-}" != --cases ] || {
    echo "step-0.5b decode-0.5b head-0.5b step-1.5b step-7b grpo-0.5b decode-7b head-7b"
    exit 0
}
gradus=$1/gradus
what=${2%%-*} size=${2#*-}
set -- bench "$what" --device cuda --precision bf16 --shape "qwen2.5-$size" --seconds 0.2
[ "$what-$size" != step-7b ] || set -- "$@" --groups 8 --lora 32
exec "$gradus" "$@"
