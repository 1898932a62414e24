#!/bin/sh
# format.sh ROOT: every C file is as clang-format 14 writes it with .clang-format. Other versions write otherwise, so
# without that one the check is skipped (77).
set -eu
cd "$1"
for program in clang-format-14 clang-format; do
    case $("$program" --version 2>/dev/null || true) in *"version 14."*) found=$program ;; esac
done
if [ -z "${found:-}" ]; then
    echo "skipped: clang-format 14 is not installed"
    exit 77
fi
files=$(find src mpi cuda tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' | sort)
# shellcheck disable=SC2086
wrong=$("$found" --dry-run $files 2>&1 | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: warning.*/\1/p' | uniq)
[ -z "$wrong" ] || printf '%s: run clang-format -i on it\n' $wrong
[ -z "$wrong" ]
