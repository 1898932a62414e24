#!/bin/sh
# bundle.sh: what jobs/bundle.sh makes takes no library but the system's from outside itself, and trains to the same bits as
# the program it was made of.
. "$(dirname "$0")/lib.sh"
sh "$here/../../jobs/bundle.sh" "$GRADUS" "$work/bundle" >out 2>err || fail "jobs/bundle.sh: $(cat err)"
[ ! -e "$work/bundle.part" ] || fail "bundle.part stays"

# Libraries that come from neither the bundle nor the C library
LD_LIBRARY_PATH="$work/bundle/lib" ldd "$work/bundle/lib/gradus.bin" | awk '$2 == "=>" { print $3 }' |
    grep -v "^$work/bundle/lib/" | grep -vE '/(ld-linux[-.0-9a-z_]*|libc|libm|libdl|librt|libpthread|libresolv|libutil|libasan|libubsan)\.so' >outside
[ ! -s outside ] || fail "taken from outside the bundle: $(cat outside)"

train 1 plain run.steps=1
env -i PATH=/usr/bin:/bin HOME="$work" TMPDIR="$work.tmp" OMP_NUM_THREADS=1 "$work/bundle/gradus" train "$SYSTEM_WORK/input.cfg" \
    run.directory="$work/bundled" run.steps=1 >out 2>err || fail "the bundle does not train: $(tail -n 3 err)"
same_rollouts plain bundled
cmp plain/model/model.safetensors bundled/model/model.safetensors || fail "the bundle trains to other weights"

"$work/bundle/gradus" train "$work/none.cfg" >out 2>err
have=$?
[ $have = 2 ] || fail "a missing input file ends the bundle with $have, not 2"
sh "$here/../../jobs/bundle.sh" "$work/none" "$work/bundle" >out 2>err
have=$?
[ $have = 2 ] || fail "a missing program ends bundle.sh with $have, not 2"
[ -x "$work/bundle/gradus" ] || fail "a failed bundle.sh took the old bundle away"
finish
