# lib.sh: what the tests of documents share; sourced by scripts whose arguments are ROOT GRADUS. What they write goes to $work.
set -u
root=$1
gradus=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

finish() {
    exit $((failures > 0))
}

# tiny_model OPTION...: $work/model, small enough that a step takes a moment.
tiny_model() {
    "$gradus" init --arch qwen2 --layers 1 --width 32 --heads 2 --mlp 32 "$@" --output "$work/model" 2>"$work/err" ||
        fail "gradus init: $(cat "$work/err")"
}

# paths FILE: words of a document that look like paths of the project: folder/name. What a run or build makes is left out.
paths() {
    grep -oE '(^|[^A-Za-z0-9_./<-])(\.\./)?(analysis|input|jobs|src|mpi|tests|\.ci)/[A-Za-z0-9_./-]*[A-Za-z0-9_]' "$1" |
        grep -oE '(analysis|input|jobs|src|mpi|tests|\.ci)/.*' | sort -u
}

# names_exist DOCUMENT: every path of the project that it names is there.
names_exist() {
    for path in $(paths "$root/$1"); do
        [ -e "$root/$path" ] || fail "$1 names $path, which does not exist"
    done
}

# commands_exist DOCUMENT: every `gradus COMMAND` with its --options is one that --help tells.
commands_exist() {
    grep -oE '(^|[`/ ])gradus [a-z]+[^`|#,;:.]*[^`|#]*' "$root/$1" | sed 's/^[`/ ]//; s/^\(gradus [a-z]*\)[,;:.]/\1 /' >"$work/calls"
    while read -r _ command rest; do
        if ! "$gradus" "$command" --help >"$work/help" 2>/dev/null; then
            fail "$1 names gradus $command, which is no command"
            continue
        fi
        for option in $(printf '%s\n' "$rest" | grep -oE '(^| )--[a-z-]+'); do
            [ "$option" = --help ] || grep -q -e "^  $option\b" "$work/help" || fail "$1: gradus $command has no $option"
        done
    done <"$work/calls"
    [ -s "$work/calls" ] || fail "$1 names no command: this check looks at nothing"
}

# list_parameters: every group.name, one a line.
list_parameters() {
    "$gradus" params | sed -n 's/^\([a-z]*\.[a-z_0-9]*\) .*/\1/p'
}

# parameters_exist DOCUMENT: every group.name of a parameter that it names is one of `gradus params`.
parameters_exist() {
    list_parameters >"$work/params"
    groups=$(sed 's/\..*//' "$work/params" | sort -u | paste -sd'|')
    grep -v 'error: .* unknown parameter' "$root/$1" | grep -oE "(^|[^A-Za-z0-9_./])($groups)\.[a-z_0-9]+" | grep -oE "($groups)\..*" |
        grep -vE '\.(h|c|cfg|h5|lock|txt|jsonl?|md|sh|py|cmake|def|png|safetensors)$' | sort -u >"$work/names"
    while read -r name; do
        grep -qx "$name" "$work/params" || fail "$1 names the parameter $name, which does not exist"
    done <"$work/names"
}
