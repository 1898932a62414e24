#!/bin/sh
# layers.sh ROOT: the #include lines of src, mpi and cuda, and the DEPENDS of src/*/CMakeLists.txt, keep to the table `layers`.
set -eu
table=$(cd "$(dirname "$0")" && pwd)/layers
cd "$1"
failed=0
files=$(find src mpi cuda -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' | sort)
# shellcheck disable=SC2086
awk '
    function fail(sentence) { print FILENAME ":" FNR ": " sentence; failed = 1 }
    FNR == 1 { folder = FILENAME; sub(/^src\//, "", folder); sub(/\/.*/, "", folder) }
    FNR == NR {
        if ($0 !~ /^#/) {
            name = $1; sub(/:$/, "", name)
            $1 = ""
            allowed[name] = $0 " "
        }
        next
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        target = $0; sub(/^[^"]*"/, "", target); sub(/".*/, "", target)
        if (target !~ /\//) next    # made by the build, for the folder itself
        sub(/\/.*/, "", target)
        if (!(folder in allowed))
            fail(folder " is not in tests/lint/layers")
        else if (target != folder && index(allowed[folder], " " target " ") == 0)
            fail(folder " may not include from " target)
    }
    END { exit failed }' "$table" $files || failed=1
for file in src/*/CMakeLists.txt; do
    folder=$(basename "$(dirname "$file")")
    have=$(tr '\n' ' ' <"$file" | sed "s/.*gradus_module($folder//; s/).*//; s/SOURCES.*//; s/LIBRARIES.*//; s/DEPENDS//" | xargs)
    want=$(sed -n "s/^$folder: *//p" "$table" | xargs)
    if [ "$have" != "$want" ]; then
        echo "$file: DEPENDS '$have'; tests/lint/layers has '$want'"
        failed=1
    fi
done
exit $failed
