#!/bin/sh
# selftest.sh COMPILER: each check passes on a good tree and finds the fault that is planted in it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
compiler=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

good() {
    rm -rf "$tree"/*
    mkdir -p "$tree/src/base" "$tree/src/tensor" "$tree/mpi" "$tree/cuda" "$tree/tests"
    cp "$here/../../.clang-format" "$tree/"
    printf 'gradus_module(base SOURCES a.c)\n' >"$tree/src/base/CMakeLists.txt"
    printf 'gradus_module(tensor DEPENDS base SOURCES b.c)\n' >"$tree/src/tensor/CMakeLists.txt"
    printf '/* SPDX-License-Identifier: Apache-2.0 */\nint a(void);\n' >"$tree/src/base/a.h"
    printf '/* SPDX-License-Identifier: Apache-2.0\n * strcpy(a, b) in a comment */\n#include "base/a.h"\n\nint b(void) {\n    return a();\n}\n' >"$tree/src/tensor/b.c"
}

# expect STATUS CHECK...
expect() {
    want=$1
    shift
    have=0
    sh "$here/$1.sh" "$tree" "$compiler" >"$tree/output" 2>&1 || have=$?
    if [ "$have" = 77 ]; then
        return
    fi
    if [ "$have" != "$want" ]; then
        echo "$1.sh gave $have, expected $want, for: $2"
        cat "$tree/output"
        failures=1
    fi
}

good
for check in layers format headers banned types length comments; do expect 0 $check "a good tree"; done
good
echo '#include "tensor/b.h"' >>"$tree/src/base/a.h"
expect 1 layers "base includes tensor"
good
printf 'gradus_module(base DEPENDS tensor SOURCES a.c)\n' >"$tree/src/base/CMakeLists.txt"
expect 1 layers "base DEPENDS tensor"
good
echo 'int   c;' >>"$tree/src/tensor/b.c"
expect 1 format "blanks"
good
echo 'size_t c(void);' >>"$tree/src/base/a.h"
expect 1 headers "a header without its include"
good
echo 'int x;' >"$tree/src/tensor/c.c"
expect 1 headers "no licence"
for call in 'strcpy(a, b)' 'atoi("1")' 'exit(1)' 'rand()'; do
    good
    printf 'void d(void) {\n    %s;\n}\n' "$call" >>"$tree/src/tensor/b.c"
    expect 1 banned "$call"
done
good
echo '#ifdef GRADUS_WITH_CUDA' >>"$tree/src/tensor/b.c"
expect 1 banned "GRADUS_WITH_"
good
for kernel in a b; do printf 'struct args {\n    int x;\n};\n' >"$tree/cuda/$kernel.cu"; done
expect 1 types "a type of two kernels"
good
{
    printf 'static int long_one(int a,\n                    int b) {\n'
    i=0
    while [ $i -lt 69 ]; do
        echo '    a++;'
        i=$((i + 1))
    done
    printf '}\n'
} >>"$tree/src/tensor/b.c"
expect 1 length "71 lines"

full='a line of a comment that is as full as it may be when nothing more fits behind it at all, ever'
good
printf '/* %s\n */\nint d(void);\n' "$full" >>"$tree/src/tensor/b.c"
expect 1 comments "a lone end"
good
printf 'static int e; /* of the\n                 kind */\n' >>"$tree/src/tensor/b.c"
expect 1 comments "a comment behind code that goes on"
good
printf '/* %s\n * word\n * %s */\n' "$full" "$(echo "$full" | cut -c1-80)" >>"$tree/src/tensor/b.c"
expect 1 comments "a single word"
good
printf '/* %s\n * end. */\n/* %s\n *\n * b\n */\n' "$full" "$full" >>"$tree/src/tensor/b.c"
expect 0 comments "whole comments"

# mutations NUMBER-THAT-FIT WORDS: the check of planted faults takes words that fit one place, and no others.
mutations() {
    printf 'mutation m\nfile     tests/lint/layers\ntests    lint.layers\n-        %s\n+        x\n' "$2" >"$tree/mutations"
    have=0
    GRADUS_MUTATIONS=$tree/mutations sh "$here/../mutate.sh" --check >"$tree/output" 2>&1 || have=$?
    [ "$have" = $(($1 != 1)) ] || {
        echo "mutate.sh --check gave $have for words that fit $1 places: $2"
        failures=1
    }
}
mutations 1 'Which folders a folder may include'
mutations 1 'base file cli   mpi'
mutations 0 'base file [a-z]* mpi'
mutations 0 'no such words'
mutations 2 base
exit $failures
