#!/bin/sh
# length.sh ROOT: no function has more than 70 lines, save those of `long_functions` (name, then the reason).
set -eu
list=$(cd "$(dirname "$0")" && pwd)/long_functions
cd "$1"
files=$(find src mpi cuda -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' | sort)
# shellcheck disable=SC2086
awk '
    FNR == NR { if ($0 !~ /^#/ && NF > 1) excused[$1] = 1; next }
    FNR == 1 { inside = 0 }
    /^[A-Za-z_].*\(/ && !inside { head = $0 }
    /\)( __attribute__\(\(.*\)\))? \{$/ && !/^[ \t]*(if|for|while|switch|else|do|\})/ && !inside { inside = 1; start = FNR }
    /^\}/ && inside {
        name = head; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
        if (FNR - start + 1 > 70 && !(name in excused)) {
            printf "%s:%d: %s has %d lines; 70 are the most\n", FILENAME, start, name, FNR - start + 1
            failed = 1
        }
        inside = 0
    }
    END { exit failed }' "$list" $files
