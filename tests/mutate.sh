#!/bin/sh
# mutate.sh [NAME...]: plants the faults of tests/mutations, one at a time, into a copy of the tree, builds it and runs the tests
# that must see it; ends with 0 when no fault survives. All of them, or those named.
#
#   mutate.sh --check     whether each fault still applies to the tree: exactly one place fits its words (a lint test)
#   mutate.sh --list      the names
#
#   GRADUS_MUTATE         folder of the copy, its build and the results; ./build-mutate unless given
#   GRADUS_MUTATIONS      another list of faults
#
# Interrupted, it goes on where it stopped as long as neither the tree nor the list has changed: what is known stands in
# results-CHECKSUM. Two cores are used at most.
set -eu
export LC_ALL=C
root=$(cd "$(dirname "$0")/.." && pwd)
list=${GRADUS_MUTATIONS:-$root/tests/mutations}
work=${GRADUS_MUTATE:-$root/build-mutate}

# names: of all faults, in the order of the list.
names() {
    sed -n 's/^mutation *//p' "$list"
}

# field NAME WORD: what the fault says behind WORD; the words `-` and `+` stand for the lines before and after.
field() {
    awk -v name="$1" -v word="$2" '
        $1 == "mutation" { inside = $2 == name }
        inside && $1 == word { sub(/^[^ ]* */, ""); print }' "$list"
}

# plant NAME FILE: the file with the fault in it, on standard output; blanks and ends of lines fit each other. Ends with 1
# and a sentence when the words fit no place or more than one.
plant() {
    before=$(field "$1" -) after=$(field "$1" +) awk -v name="$1" '
        function pattern(words, out, i, c) {
            gsub(/[ \t\n]+/, " ", words)
            for (i = 1; i <= length(words); i++) {
                c = substr(words, i, 1)
                if (c == " ") out = out "[ \t\n]+"
                else if (c ~ /[A-Za-z0-9_]/) out = out c
                else if (c == "\\" || c == "^" || c == "[" || c == "]") out = out "\\" c
                else out = out "[" c "]"
            }
            return out
        }
        { text = text $0 "\n" }
        END {
            if (ENVIRON["before"] == "") { print name ": has no words to look for" > "/dev/stderr"; exit 1 }
            expression = pattern(ENVIRON["before"])
            if (!match(text, expression)) { print name ": no place in " FILENAME " fits: " ENVIRON["before"] > "/dev/stderr"; exit 1 }
            begin = RSTART; size = RLENGTH
            rest = substr(text, begin + size)
            if (match(rest, expression)) { print name ": more than one place in " FILENAME " fits: " ENVIRON["before"] > "/dev/stderr"; exit 1 }
            printf "%s%s%s", substr(text, 1, begin - 1), ENVIRON["after"], rest
        }' "$2"
}

check() {
    failed=0
    [ -z "$(names | sort | uniq -d)" ] || { echo "given twice: $(names | sort | uniq -d)"; failed=1; }
    for name in $(names); do
        file=$(field "$name" file)
        [ -n "$(field "$name" tests)" ] || { echo "$name: names no test"; failed=1; }
        if [ ! -f "$root/$file" ]; then
            echo "$name: there is no file $file"
            failed=1
        elif ! plant "$name" "$root/$file" 2>&1 >/dev/null; then
            failed=1
        fi
    done
    return $failed
}

# copy: brings the tree over; files that are the same keep their times, so that little is built again.
copy() {
    mkdir -p "$work/tree"
    (cd "$root" && git ls-files) | while read -r file; do
        cmp -s "$root/$file" "$work/tree/$file" && continue
        mkdir -p "$work/tree/$(dirname "$file")"
        cp "$root/$file" "$work/tree/$file"
    done
    sum=$(cd "$work/tree" && find . -type f | sort | xargs cksum | cksum | cut -d' ' -f1)
    results=$work/results-$sum
    touch "$results"
}

# build [TARGET...]: quietly; warnings are no matter, for a fault may leave a variable unused.
build() {
    targets=
    for target; do targets="$targets --target $target"; done
    # shellcheck disable=SC2086
    nice cmake --build "$work/build" --parallel 2 $targets >"$work/log" 2>&1
}

# targets REGEX: what the tests of that name need; programs of the system tests are those without the fault.
targets() {
    (cd "$work/build" && ctest -N -R "$1") | sed -n 's/^ *Test *#[0-9]*: //p' | while read -r test; do
        case $test in
        system.* | cli.* | docs.* | jobs.* | lint.*) echo gradus ;;
        cuda.*) echo "cuda_$(echo "$test" | cut -d. -f2)" ;;
        mpi.late*) echo comm_late gradus ;;
        mpi.foreign_launcher) echo comm_conform ;;
        mpi.*) echo "comm_$(echo "$test" | cut -d. -f2)" ;;
        *) echo "unit_$(echo "$test" | sed 's/\./_/')" ;;
        esac
    done | sort -u
}

# run REGEX [OPTION...]
run() {
    regex=$1
    shift
    (cd "$work/build" && nice ctest -j2 --timeout 300 --output-on-failure -R "$regex" "$@") >"$work/log" 2>&1
}

# try NAME: killed, survived, or broken (it does not build, or its tests do not exist).
try() {
    file=$work/tree/$(field "$1" file)
    tests=$(field "$1" tests)
    cp "$file" "$work/whole"
    plant "$1" "$work/whole" >"$file" || { cp "$work/whole" "$file"; echo broken; return; }
    needed=$(targets "$tests")
    verdict=killed
    # shellcheck disable=SC2086
    if [ -z "$needed" ] || ! build $needed; then
        verdict=broken
    elif run "$tests" --fixture-exclude-setup system_models --stop-on-failure; then
        verdict=survived
    fi
    cp "$work/whole" "$file"
    echo $verdict
}

prepare() {
    cmake -S "$work/tree" -B "$work/build" -DGRADUS_DEVELOPER=ON -DCMAKE_C_FLAGS=-w -DCMAKE_CXX_FLAGS=-w >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    build || { tail -n 30 "$work/log"; exit 1; }
    all=$(for name; do field "$name" tests; done | sort -u | paste -sd'|')
    run "$all" || { grep -E 'Failed|\*\*\*' "$work/log"; echo "mutate.sh: these tests fail without any fault"; exit 1; }
}

case ${1:-} in
--check) check; exit ;;
--list) names; exit ;;
-*) echo "usage: mutate.sh [--check|--list|NAME...]" >&2; exit 2 ;;
esac

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMP_NUM_THREADS=1
[ $# -gt 0 ] || set -- $(names)
for name; do
    names | grep -qx "$name" || { echo "mutate.sh: there is no mutation $name; mutate.sh --list names all"; exit 2; }
done
check || exit 1
copy
trap 'exit 1' INT TERM
prepared=
for name; do
    if ! grep -q " $name\$" "$results"; then
        [ -n "$prepared" ] || prepare "$@"
        prepared=yes
        echo "$(try "$name") $name" >>"$results"
    fi
    grep " $name\$" "$results"
done
failed=0
for name; do
    grep -q "^killed $name\$" "$results" || failed=1
done
exit $failed
