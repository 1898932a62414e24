#!/bin/sh
# usage.sh GRADUS: help, version, wrong usage and exit statuses of every command, as a user meets them.
set -u
gradus=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "$1"
    sed 's/^/    /' "$work/out" "$work/err"
    failures=1
}

# expect STATUS WORDS ARGUMENT...: the exit status; words of standard error when it is not 0, else of standard output.
expect() {
    want=$1
    words=$2
    shift 2
    "$gradus" "$@" >"$work/out" 2>"$work/err"
    have=$?
    [ "$have" = "$want" ] || fail "gradus $*: exit status $have, expected $want"
    if [ "$want" = 0 ]; then
        grep -qF -- "$words" "$work/out" || fail "gradus $*: does not print '$words'"
        [ ! -s "$work/err" ] || fail "gradus $*: speaks on standard error"
    else
        grep -qF -- "$words" "$work/err" || fail "gradus $*: does not say '$words'"
        [ ! -s "$work/out" ] || fail "gradus $*: prints something on standard output"
        [ "$(wc -l <"$work/err")" -le 3 ] || fail "gradus $*: more than 3 lines"
        [ "$(head -c 15 "$work/err")" = "gradus: error: " ] || fail "gradus $*: does not begin with gradus: error:"
    fi
}

expect 0 "usage: gradus COMMAND" --help
expect 0 "gradus 0." --version
expect 1 "a command is needed"
expect 1 "there is no command trian" trian
expect 1 "there is no command --model" --model
expect 1 "takes a value, --restart FILE" train --restart

commands=$("$gradus" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
for command in $commands; do
    expect 0 "usage: gradus $command" "$command" --help
    expect 1 "$command has no option --no-such-option" "$command" --no-such-option
done
case " $(echo $commands) " in *" params "*) ;; *) fail "gradus --help does not list params" ;; esac

expect 0 "rollout.top_p" params
expect 0 "default 1.0" params rollout.top_p
expect 0 "rollout : {" params --reference
expect 1 "there is no parameter rollout.topp; the nearest known name is rollout.top_p" params rollout.topp
expect 1 "params does not take the argument b" params rollout b
expect 1 "--reference takes no value" params --reference=3
expect 1 "--reference is given twice" params --reference --reference
expect 1 "takes no name" params --reference rollout
expect 0 '{"gate": "erf", "advantage": -1, "ratio": [0, 0.01,' params --gates
expect 1 "prints --reference or --gates, not both" params --gates --reference
expect 2 "objective.tau_pos = -1 is too small" params --gates objective.tau_pos=-1
printf 'run : { directory = "runs/a"; }; model : { path = "m"; };' >"$work/value.cfg"
expect 0 "$work/runs/a" params run.directory --input "$work/value.cfg"
expect 0 "$work/runs/a" params run.directory --input "$work/value.cfg" rollout.top_p=0.5
expect 0 "0.5" params rollout.top_p --input "$work/value.cfg" rollout.top_p=0.5
expect 0 '"clip"' params objective.gate --input "$work/value.cfg"
expect 1 "there is no parameter run.dir" params run.dir --input "$work/value.cfg"
expect 1 "needs the name of a parameter" params --input "$work/value.cfg"
expect 2 "cannot be opened" params run.directory --input "$work/absent.cfg"
if [ -w /dev/full ]; then
    "$gradus" params >/dev/full 2>"$work/err"
    have=$?
    [ "$have" = 75 ] || fail "gradus params on a full disk: exit status $have, expected 75"
fi
exit $failures
