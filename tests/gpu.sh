#!/bin/sh
# gpu.sh [BUNDLE]: all that a machine with a GPU is wanted for, the most important first: builds the kernels, the backends and their
# tests for its GPU and runs the tests; with BUNDLE, a folder made by jobs/bundle.sh, whole runs of each method and `gradus bench`;
# the timings of cuda/lab; compute-sanitizer on small kernels. Prints one table last, and the goals beside what was found: a missed
# goal fails nothing. Ends with 0 when all passed, 1 when something failed, 2 when nothing failed but something was left out for
# want of time, 77 without a GPU.
#
# Needs CUDA's compiler, a C and C++ compiler and cmake; neither MPI nor HDF5. Where NCCL is installed it sums on one rank
# (cuda_reducer), else that test counts as skipped.
#
#   GRADUS_BUILD     the build folder; ./build-gpu unless given
#   GRADUS_TESTS     only what has a name that holds these words, as grep -E takes them
#   GRADUS_TIMEOUT   seconds that one part may take; 120 unless given
#   GRADUS_LIMIT     seconds for all of it, 460 unless given: what is not begun by then is left out, what runs is cut off, and the
#                    table is printed
set -u
cd "$(dirname "$0")/.." || exit 1
build=${GRADUS_BUILD:-build-gpu}
words=${GRADUS_TESTS:-.}
timeout=${GRADUS_TIMEOUT:-120}
limit=${GRADUS_LIMIT:-460}
bundle=${1:-}
began=$(date +%s)

capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d '. ')
case $capability in
[0-9][0-9]*) ;;
*)
    echo "gpu.sh: skipped: nvidia-smi shows no GPU"
    exit 77
    ;;
esac
nvidia-smi --query-gpu=name,driver_version,memory.total,uuid --format=csv,noheader

work=$(mktemp -d)
table=$work/table
: >"$table"
: >"$work/shown"
failures=0 left_out=0

# finish: the table, and the goals.
finish() {
    printf '\n'
    cat "$table"
    printf '\n'
    awk -f tests/gpu/goals.awk "$work/shown"
    echo "gpu.sh: $failures failed, $left_out left out or cut off, $(($(date +%s) - began)) s in all"
    rm -rf "$work"
    [ $failures = 0 ] || exit 1
    [ $left_out = 0 ] || exit 2
    exit 0
}

# The machine is taken away: the table still comes.
# shellcheck disable=SC2317
stopped() {
    [ -z "$child" ] || kill "$child" 2>/dev/null
    [ -z "$child" ] || row "$name" "cut off" $(($(date +%s) - start))
    echo "gpu.sh: stopped by a signal; what is not in the table was not begun" >>"$table"
    left_out=$((left_out + 1))
    finish
}
child=
trap stopped TERM INT

# row NAME RESULT SECONDS: in the table, and at once.
row() {
    printf '%-40s %-8s %6s s\n' "$1" "$2" "$3" | tee -a "$table"
    case $2 in
    passed | skipped) ;;
    "left out" | "cut off") left_out=$((left_out + 1)) ;;
    *) failures=$((failures + 1)) ;;
    esac
}

# try NAME show|hide SECONDS COMMAND...: a row; its output when it did not pass, or when it is to be shown.
try() {
    name=$1 show=$2 most=$3
    shift 3
    start=$(date +%s)
    left=$((began + limit - start))
    if [ $left -le 0 ]; then
        row "$name" "left out" 0
        return
    fi
    [ "$most" -lt $left ] || most=$left
    timeout -k 5 "$most" "$@" >"$work/output" 2>&1 &
    child=$!
    wait $child
    status=$?
    child=
    case $status in
    0) result=passed ;;
    77) result=skipped ;;
    124 | 137) [ "$most" = $left ] && result="cut off" || result=late ;;
    *) result=failed ;;
    esac
    [ "$name" != cuda_reducer ] || show=show # it tells the version of NCCL
    if [ "$result" != passed ] || [ "$show" = show ]; then
        echo "--- $name: $result ($status)"
        head -c 6000 "$work/output"
    fi
    [ "$show" = hide ] || cat "$work/output" >>"$work/shown"
    row "$name" "$result" $(($(date +%s) - start))
}

# wanted NAME
wanted() { printf '%s\n' "$1" | grep -Eq "$words"; }

# programs FOLDER PATTERN...: those built there that are wanted, by name.
programs() {
    folder=$1
    shift
    for pattern in "$@"; do
        find "$build/$folder" -type f -perm -u+x -name "$pattern" 2>/dev/null
    done | sort | while read -r program; do
        ! wanted "$(basename "$program")" || echo "$program"
    done
}

# --- build ---

cat >"$work/build.sh" <<'END'
generator=
command -v ninja >/dev/null 2>&1 && generator="-G Ninja"
# shellcheck disable=SC2086
cmake -S . -B "$1" $generator -DGRADUS_DEVELOPER=ON -DGRADUS_PROGRAM=OFF -DGRADUS_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="$2-real" >"$3" 2>&1 &&
    cmake --build "$1" --parallel "$(nproc)" -- -k $([ -n "$generator" ] && echo 0) >>"$3" 2>&1 && {
    grep -h 'was not found' "$3" || true
    exit 0
}
grep -E -A 6 'error|Error|FAILED|undefined reference' "$3" | head -n 120
exit 1
END
try build show "$limit" sh "$work/build.sh" "$build" "$capability" "$work/log"

# --- kernels and the operations of the backends ---

for test in $(programs tests 'cuda_*' 'unit_backend_*'); do
    try "$(basename "$test")" hide "$timeout" "$test"
done

# --- whole runs and timings ---

[ -z "$bundle" ] || for case in $(sh tests/gpu/runs.sh --cases); do
    ! wanted "run_$case" || try "run_$case" show "$timeout" sh tests/gpu/runs.sh "$bundle" "$case"
done
for bench in $(programs lab bench_rows); do
    try bench_rows show "$timeout" "$bench"
done
[ -z "$bundle" ] || for case in $(sh tests/gpu/benches.sh --cases); do
    ! wanted "bench_$case" || try "bench_$case" show "$timeout" sh tests/gpu/benches.sh "$bundle" "$case"
done
for bench in $(programs lab 'bench_*' | grep -v '/bench_rows$'); do
    try "$(basename "$bench")" show "$timeout" "$bench"
done

# --- accesses and races, of the small kernels ---

sanitizer=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer)
[ -n "$sanitizer" ] || row compute-sanitizer skipped 0
[ -z "$sanitizer" ] || for tool in memcheck racecheck; do
    for test in $(programs tests cuda_norm cuda_swiglu cuda_head cuda_rope); do
        try "${tool}_$(basename "$test")" hide "$timeout" "$sanitizer" --tool "$tool" --error-exitcode 1 "$test"
    done
done
finish
