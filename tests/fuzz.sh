#!/bin/sh
# fuzz.sh [SECONDS [TARGET...]]: builds the fuzzing targets of tests/fuzz with clang, libFuzzer and the sanitizers, and runs each for
# so many seconds of processor time (60), all or those named, from a corpus that begins with their seeds; on a busy machine that
# takes longer. By hand, not by CI. Ends with 1 when a target found something; the input stands below $GRADUS_FUZZ, ./build-fuzz unless given, and belongs into tests/fuzz/seeds/TARGET when it is mended.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${GRADUS_FUZZ:-$root/build-fuzz}
seconds=${1:-60}
[ $# = 0 ] || shift
command -v clang >/dev/null || { echo "fuzz.sh: there is no clang"; exit 77; }
cmake -S "$root" -B "$build" -DCMAKE_C_COMPILER=clang -DGRADUS_FUZZ=ON -DGRADUS_DEVELOPER=ON >"$build.log" ||
    { cat "$build.log"; exit 1; }
cmake --build "$build" -j2 --target fuzzers >>"$build.log" || { tail -n 30 "$build.log"; exit 1; }
[ $# != 0 ] || set -- $(cd "$build/tests/fuzz" && ls ./*.seeds | sed 's,./\(.*\).seeds,\1,')
cd "$root"
failed=0

# used: sets `now` to the whole seconds of processor time that this script's children have used. No command substitution may do
# this: a subshell has no children yet.
used() {
    times >"$build/$$.times"
    now=$(tail -n 1 "$build/$$.times" | tr ms '  ' | awk '{ printf "%d", $1 * 60 + $2 + $3 * 60 + $4 }')
}

# fuzz TARGET CORPUS LOG: libFuzzer counts time on the clock, so it is asked again until the processor's is spent.
fuzz() {
    used
    end=$((now + seconds))
    : >"$3"
    while [ "$now" -lt "$end" ]; do
        TMPDIR=${TMPDIR:-/dev/shm} OMP_NUM_THREADS=1 LSAN_OPTIONS="suppressions=$root/tests/leaks.supp:print_suppressions=0" \
            "$build/tests/fuzz/fuzz_$1" "$2" -max_total_time="$((end - now))" -max_len=65536 -rss_limit_mb=4096 -timeout=60 \
            -close_fd_mask=3 -artifact_prefix="$build/$1-" >>"$3" 2>&1 || return 1
        used
    done
}

for target in "$@"; do
    corpus=$build/corpus/$target
    mkdir -p "$corpus"
    for seed in $(tr ';' ' ' <"$build/tests/fuzz/$target.seeds"); do
        cp "$seed" "$corpus/seed-$(echo "$seed" | tr / -)"
    done
    log=$build/$target.log
    if fuzz "$target" "$corpus" "$log"; then
        echo "$target: $(awk '/^Done/ { runs += $2 } END { print runs }' "$log") runs, $(grep -o 'cov: [0-9]*' "$log" | tail -n 1)"
    else
        echo "$target: FAILED, see $log"
        failed=1
    fi
done
exit $failed
