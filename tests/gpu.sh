#!/bin/sh
# gpu.sh [BUNDLE]: builds the kernels, the backends and their tests for the GPU of this machine, runs the tests and the
# benches of cuda/lab, and prints one table last. Ends with 0 when all passed, 1 when something failed, 77 without a GPU.
#
# Needs CUDA's compiler, a C and C++ compiler and cmake; neither MPI nor HDF5. Where NCCL is installed it sums on one rank
# (cuda_reducer), else that test counts as skipped. BUNDLE is a folder made by jobs/bundle.sh:
# the program with its libraries; with it whole runs are made too.
#
#   GRADUS_BUILD     the build folder; ./build-gpu unless given
#   GRADUS_TESTS     only the tests and benches whose name holds these words, as grep -E takes them
#   GRADUS_TIMEOUT   seconds that one test may take; 120 unless given
set -u
cd "$(dirname "$0")/.." || exit 1
build=${GRADUS_BUILD:-build-gpu}
words=${GRADUS_TESTS:-.}
limit=${GRADUS_TIMEOUT:-120}
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
trap 'rm -rf "$work"' EXIT
table=$work/table
: >"$table"
failures=0

# row NAME RESULT SECONDS
row() {
    printf '%-40s %-8s %6s s\n' "$1" "$2" "$3" >>"$table"
    [ "$2" = passed ] || [ "$2" = skipped ] || failures=$((failures + 1))
}

# try NAME show|hide COMMAND...: a row; its output when it fails, or when it is to be shown.
try() {
    name=$1 show=$2
    shift 2
    start=$(date +%s)
    timeout "$limit" "$@" >"$work/output" 2>&1
    status=$?
    case $status in
    0) result=passed ;;
    77) result=skipped ;;
    124) result=late ;;
    *) result=failed ;;
    esac
    [ "$name" != cuda_reducer ] || show=show # it tells the version of NCCL
    if [ "$result" != passed ] || [ "$show" = show ]; then
        echo "--- $name: $result ($status)"
        head -c 6000 "$work/output"
    fi
    row "$name" $result $(($(date +%s) - start))
}

generator=
command -v ninja >/dev/null 2>&1 && generator="-G Ninja"
start=$(date +%s)
# shellcheck disable=SC2086
if cmake -S . -B "$build" $generator -DGRADUS_DEVELOPER=ON -DGRADUS_PROGRAM=OFF -DGRADUS_CUDA=ON \
    -DCMAKE_CUDA_ARCHITECTURES="$capability-real" >"$work/log" 2>&1 &&
    cmake --build "$build" --parallel "$(nproc)" -- -k $([ -n "$generator" ] && echo 0) >>"$work/log" 2>&1; then
    row build passed $(($(date +%s) - start))
    grep -h 'was not found' "$work/log" || true
else
    grep -E -A 6 'error|Error|FAILED|undefined reference' "$work/log" | head -n 120
    row build failed $(($(date +%s) - start))
fi

for test in $(find "$build/tests" -type f -perm -u+x \( -name 'cuda_*' -o -name 'unit_backend_*' \) | sort | grep -E "$words"); do
    try "$(basename "$test")" hide "$test"
done
for bench in $(find "$build/lab" -type f -perm -u+x -name 'bench_*' 2>/dev/null | sort | grep -E "$words"); do
    try "$(basename "$bench")" show "$bench"
done
if [ -n "$bundle" ]; then
    for test in tests/gpu/*.sh; do
        [ -f "$test" ] && try "$(basename "$test" .sh)" show sh "$test" "$bundle"
    done
fi

echo
cat "$table"
echo "gpu.sh: $failures failed, $(($(date +%s) - began)) s in all"
[ $failures = 0 ]
