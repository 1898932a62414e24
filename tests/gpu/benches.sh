#!/bin/sh
# benches.sh BUNDLE: `gradus bench` of the bundled program on a GPU: the output head by widths, and whole steps of GRPO.
set -u
gradus=$1/gradus
for shape in qwen2.5-0.5b qwen2.5-7b; do
    echo "$shape"
    "$gradus" bench head --device cuda --precision bf16 --shape $shape --seconds 0.2 || exit 1
done
"$gradus" bench grpo --device cuda --precision bf16 --shape qwen2.5-0.5b --seconds 0.2
