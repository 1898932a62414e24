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
failed=0
for file in $(find src mpi tests -name '*.[ch]' | sort); do
    if ! "$found" "$file" | cmp -s - "$file"; then
        echo "$file: run clang-format -i on it"
        failed=1
    fi
done
exit $failed
