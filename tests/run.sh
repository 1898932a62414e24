#!/bin/sh
# run.sh [ctest argument...]: installs what is missing, builds, and runs the whole suite; ends with 0 when all of it passes.
#
#   CC               the compiler (gcc, clang)
#   GRADUS_BUILD     the build folder; ./build unless given
#   GRADUS_SANITIZE  not empty: with the address and undefined-behaviour sanitizers
set -eu
cd "$(dirname "$0")/.."
build=${GRADUS_BUILD:-build}
sanitize=OFF
[ -z "${GRADUS_SANITIZE:-}" ] || sanitize=ON

sh jobs/packages.sh --developer
sh jobs/packages.sh --jobs || echo "run.sh: the tests of job scripts are skipped where they need these"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

quietly() {
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log"
        echo "run.sh: failed: $*"
        exit 1
    }
}
echo "run.sh: building in $build with ${CC:-the default compiler}, sanitizers $sanitize"
quietly cmake -S . -B "$build" -DGRADUS_DEVELOPER=ON -DGRADUS_SANITIZE=$sanitize
quietly cmake --build "$build" --parallel "$(nproc 2>/dev/null || echo 2)"

# Open MPI refuses root and more ranks than cores unless it is told; containers and small machines have both.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export LSAN_OPTIONS="suppressions=$PWD/tests/leaks.supp:print_suppressions=0"
failed=0
(cd "$build" && ctest -j2 --output-on-failure "$@") >"$log" 2>&1 || failed=1
[ $failed = 0 ] || grep -v '^ *[0-9]*/[0-9]* Test.*Passed\|^ *Start ' "$log" | head -n 200
grep 'Skipped' "$log" | sed 's/^ *[0-9]*\/[0-9]* //' || true
tail -n 30 "$log" | grep -E 'tests passed|Total Test time' || true
if [ $failed = 0 ]; then
    echo "run.sh: all tests passed"
else
    echo "run.sh: some tests failed; the programs are in $build"
fi
exit $failed
