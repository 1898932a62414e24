#!/bin/sh
# types.sh ROOT: a type of the kernels' C++ has one definition. Two files with a type of the same name make templates over it, a
# launch for one, the same symbol, of which the linker keeps the first it meets.
set -eu
cd "$1"
files=$(find cuda -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' -o -path 'cuda/kernel/*.h' -o -path 'cuda/host/*.h' | sort)
[ -n "$files" ] || exit 0
# shellcheck disable=SC2086
awk '
    FNR == 1 { private = 0 }
    /^namespace \{/ { private = 1 }
    /^\} *\/\/ namespace/ { private = 0 }
    !private && match($0, /^(struct|class|union|enum|enum class)( alignas\([0-9]+\))? [A-Za-z_0-9]+( final)?( :[^;]*)? \{/) {
        name = substr($0, RSTART, RLENGTH)
        sub(/( final)?( :[^;]*)? \{$/, "", name)
        sub(/.* /, "", name)
        if (name in at) {
            print FILENAME ":" FNR ": " name " is a type of " at[name] " too: name it otherwise"
            failed = 1
        }
        at[name] = FILENAME ":" FNR
    }
    END { exit failed }' $files
