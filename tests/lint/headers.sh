#!/bin/sh
# headers.sh ROOT COMPILER [INCLUDE...]: each header compiles alone, and begins with its licence.
set -eu
cd "$1"
compiler=$2
shift 2
flags=
for folder in src . tests "$@"; do flags="$flags -I$folder"; done
failed=0
for file in $(find src mpi cuda tests -name '*.h' | sort); do
    case $file in cuda/kernel/kernel*.h | cuda/host/fiber*.h | cuda/host/kernel_host.h) continue ;; esac # C++, in every kernel
    # shellcheck disable=SC2086
    if ! printf '#include "%s"\ntypedef int not_empty;\n' "$PWD/$file" | "$compiler" -std=c17 -D_POSIX_C_SOURCE=200809L -DGRADUS_ISA_PLAIN -Wall -Wextra \
        -Wpedantic -Wno-unused-function -Wno-unused-variable -Werror -fsyntax-only $flags -x c -; then
        echo "$file: does not compile alone"
        failed=1
    fi
done
for file in $(find src mpi cuda tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' | sort); do
    case $(head -n 1 "$file") in
    "/* SPDX-License-Identifier: Apache-2.0"*) ;;
    *)
        echo "$file:1: does not begin with /* SPDX-License-Identifier: Apache-2.0"
        failed=1
        ;;
    esac
done
exit $failed
