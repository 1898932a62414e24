#!/bin/sh
# grade.sh GRADUS: gradus grade on JSON lines, and gradus bench grade.
set -u
gradus=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
    echo "$*"
    failures=1
}

# equal HAVE WANT WHAT
equal() {
    [ "$1" = "$2" ] || fail "$3: '$1', expected '$2'"
}

cat >pairs.jsonl <<'END'
{"id": 1, "prediction": "so $\\boxed{\\frac12}$", "answer": "0.5", "text": "7", "gold": 7}
{"id": 2, "prediction": "<answer>3</answer>", "answer": "4", "text": "7", "gold": 8}

{"id": 3, "prediction": "I do not know", "answer": "4", "text": "<answer>x</answer>", "gold": "y"}
{"id": 4, "prediction": "#### 1,234", "answer": 1234, "text": "\u00e9 \u221a4", "gold": 2.0}
END

"$gradus" grade --input pairs.jsonl >out 2>err || fail "grade: $(cat err)"
equal "$(sed 's/.*"id":\([0-9]*\).*"place":\([^,]*\),"verdict":"\([a-z]*\)","extracted":"\(.*\)","reward":\(.*\)}/\1 \2 \3 \4 \5/' out)" \
    '1 "boxed" right \\frac12 1.0
2 "block" wrong 3 0.0
3 null missing  0.0
4 "hashes" right 1,234 1.0' "what grade prints"
[ ! -s err ] || fail "grade speaks on standard error: $(cat err)"

# Other fields, numbers as references, a file.
"$gradus" grade --input pairs.jsonl --prediction text --reference gold --output graded.jsonl >out 2>err || fail "grade: $(cat err)"
equal "$(sed 's/.*"verdict":"\([a-z]*\)".*/\1/' graded.jsonl | tr '\n' ' ')" "right wrong wrong wrong " "other fields"
grep -q "graded = 4, math = 0.2500" err || fail "grade does not say what it graded: $(cat err)"
[ ! -s out ] || fail "grade --output prints: $(cat out)"

# Other rules, places and tolerances.
rewards() {
    "$gradus" grade --input "$1" "$2" "$3" 2>err | sed 's/.*"reward":\(.*\)}/\1/' | tr '\n' ' '
}
equal "$(rewards pairs.jsonl --rule answer)" "0.0 0.0 0.0 0.0 " "the rule answer"
equal "$(rewards pairs.jsonl --places last,boxed)" "1.0 0.0 0.0 1.0 " "places last, boxed"
equal "$(rewards pairs.jsonl --places block)" "0.0 0.0 0.0 0.0 " "place block"
echo '{"prediction": "0.333", "answer": "1/3"}' >third.jsonl
equal "$(rewards third.jsonl --tolerance 1e-2)" "1.0 " "a tolerance of 1e-2"
equal "$(rewards third.jsonl --tolerance 1e-5)" "0.0 " "a tolerance of 1e-5"

# refused STATUS WORDS ARGUMENT...
refused() {
    want=$1
    words=$2
    shift 2
    "$gradus" grade "$@" >out 2>err
    equal $? "$want" "the exit status of grade $*"
    grep -qF -- "$words" err || fail "grade $* does not say '$words': $(cat err)"
    [ ! -s out ] || fail "grade $* prints something"
}
refused 2 "pairs.jsonl:1: the field solution is missing" --input pairs.jsonl --reference solution
echo '{"prediction": ["1"], "answer": "1"}' >list.jsonl
refused 2 "list.jsonl:1: the field prediction is neither a text nor a number" --input list.jsonl
echo '[1]' >array.jsonl
refused 2 "array.jsonl:1: the line is not a JSON object" --input array.jsonl
refused 1 "--rule length: texts are graded by" --input pairs.jsonl --rule length
refused 1 "--places: 'box' is no place" --input pairs.jsonl --places boxed,box
refused 1 "--places: 6 places" --input pairs.jsonl --places last,last,last,last,last,last
refused 2 "nowhere.jsonl" --input nowhere.jsonl

# A rate, of the program's pairs and of a file's.
"$gradus" bench grade --seconds 0.05 >out 2>err || fail "bench grade: $(cat err)"
grep -qE '^grade 16 pairs \(15 right\) +[0-9]+ gradings/s' out || fail "bench grade prints: $(cat out)"
"$gradus" bench grade --seconds 0.05 --pairs third.jsonl >out 2>err || fail "bench grade: $(cat err)"
grep -qE '^grade 1 pairs \(0 right\)' out || fail "bench grade --pairs prints: $(cat out)"
exit $failures
