#!/bin/sh
# mauve.sh: gradus mauve as a user runs it: texts, features and labels; the same numbers on any ranks; refusals.
. "$(dirname "$0")/lib.sh"
model=$SYSTEM_WORK/qwen2-start

# Two samples: sums, and sums that end in another way; a long text, an empty one.
awk 'BEGIN {
    for (i = 0; i < 30; i++)
        printf "{\"text\": \"%d+%d=%d\", \"worse\": \"%d+%d=%d%s\"}\n", i, 7 * i % 11, i + 7 * i % 11, i, i, i, i % 3 ? "?!" : ""
    printf "{\"text\": \"\", \"worse\": \"%0200d\"}\n", 5
}' >texts.jsonl

# alone ARGUMENT...: as job 1, but with its own standard output and error
alone() {
    TMPDIR=$work.tmp OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_btl=self OMPI_MCA_pml=ob1 UCX_TLS=self "$GRADUS" "$@"
}

# mauve WHERE ARGUMENT...: what it prints, in the file WHERE
mauve() {
    where=$1
    shift
    alone mauve "$@" >"$where" 2>err || fail "mauve $*: $(cat err)"
}

# number FILE NAME
number() {
    sed -n "s/.*\"$2\": \([-0-9.e]*\).*/\1/p" "$1"
}

mauve one --p texts.jsonl --q texts.jsonl --q-field worse --model "$model" --threads 1 --max-tokens 100 \
    --p-features p.h5 --q-features q.h5
grep -qE '^\{"mauve": [0-9.e-]+, "frontier_integral": [0-9.e-]+, "mauve_star": [0-9.e-]+, "frontier_integral_star": [0-9.e-]+, "num_buckets": 3\}$' one ||
    fail "mauve prints $(cat one)"
holds "$(number one mauve) > 0 && $(number one mauve) < 1" "the MAUVE of different texts lies between 0 and 1"
grep -q 'texts = 30, .* cut = 0, empty = 1$' err || fail "mauve does not count the empty text: $(cat err)"
grep -q 'texts = 31, .* cut = 1, empty = 0$' err || fail "mauve does not count the text that was cut: $(cat err)"

# Ranks, threads, passes and the way back through the files of features change no bit.
for ranks in 2 3; do
    job $ranks mauve --p texts.jsonl --q texts.jsonl --q-field worse --model "$model" --threads 1 --max-tokens 100 \
        --p-features p-$ranks.h5 --q-features q-$ranks.h5 || fail "mauve on $ranks ranks: $(cat err)"
    cmp one out || fail "mauve on $ranks ranks: $(cat out), on one: $(cat one)"
    same p.h5 p-$ranks.h5 /provenance
    same q.h5 q-$ranks.h5 /provenance
done
mauve again --p texts.jsonl --q texts.jsonl --q-field worse --model "$model" --threads 2 --max-tokens 100 --tokens-per-pass 1
cmp one again || fail "mauve by 2 threads and single texts: $(cat again), expected $(cat one)"
mauve again --p p.h5 --q q.h5
cmp one again || fail "mauve of its own features: $(cat again), expected $(cat one)"
"$SYSTEM_TOOL" described p.h5 || fail "a file of features does not say what is in it"

# What is asked for arrives.
if grep -q warning err; then fail "ten texts a bucket are warned of: $(cat err)"; fi
mauve other --p p.h5 --q q.h5 --buckets 7
grep -q 'warning: 30 texts of p.h5 for 7 buckets: with fewer than ten' err || fail "a bucket of four texts is not warned of: $(cat err)"
[ "$(number other num_buckets)" = 7 ] || fail "--buckets 7: $(cat other)"
mauve scaled --p p.h5 --q q.h5 --scaling 1
holds "$(number scaled mauve) > $(number one mauve)" "a smaller scaling gives a larger MAUVE"
[ "$(number scaled frontier_integral)" = "$(number one frontier_integral)" ] || fail "--scaling changes the frontier integral"
for option in "--seed 3" "--start kmeans++" "--variance 0.3" "--restarts 1"; do
    # shellcheck disable=SC2086
    mauve again --p p.h5 --q q.h5 --buckets 7 $option
    cmp -s other again && fail "mauve $option changes nothing"
done
sum=$(sed -n 's/.*inertia = //p' err)
mauve again --p p.h5 --q q.h5 --buckets 7 --restarts 1 --iterations 1
holds "$(sed -n 's/.*inertia = //p' err) > $sum" "one iteration does not lead as far"
mauve again --p texts.jsonl --q texts.jsonl --q-field worse --model "$model" --texts 12 --max-tokens 100
grep -q 'texts = 12, ' err || fail "--texts 12: $(cat err)"

# Equal texts.
mauve same --p texts.jsonl --q texts.jsonl --model "$model"
holds "$(number same mauve) == 1 && $(number same frontier_integral) == 0" "equal texts give 1 and 0: $(cat same)"

# Completions as gradus generate writes them; each counts as a text.
printf '%s\n' '{"prompt": "a", "completions": [{"text": "1+1=2"}, {"text": "1+2=3"}]}' '{"completions": [{"text": "3"}]}' >completions.jsonl
mauve again --p completions.jsonl --q texts.jsonl --model "$model"
grep -q 'completions.jsonl: texts = 3, ' err || fail "completions are not taken for texts: $(cat err)"

# Labels: the histograms are those of a closed form.
"$SYSTEM_TOOL" make p-labels.h5 /labels 0 0 1 1 2 2 2 3 3 3 3
"$SYSTEM_TOOL" make q-labels.h5 /labels 0 0 0 0 0 1 1 1 2 2 3
mauve labels --p p-labels.h5 --q q-labels.h5
holds "$(number labels mauve) - 0.6538536633 < 1e-9 && 0.6538536633 - $(number labels mauve) < 1e-9" "MAUVE of (1 2 3 4) and (4 3 2 1): $(cat labels)"
[ "$(number labels num_buckets)" = 4 ] || fail "labels: $(cat labels)"

# refused STATUS WORDS ARGUMENT...
refused() {
    want=$1
    words=$2
    shift 2
    alone mauve "$@" >out 2>err
    status=$?
    [ $status = "$want" ] || fail "mauve $*: exit status $status, expected $want"
    grep -q -- "$words" err || fail "mauve $* does not say '$words': $(cat err)"
    [ ! -s out ] || fail "mauve $*, which is refused, prints $(cat out)"
}
: >empty.jsonl
printf '{"text": ""}\n' >blank.jsonl
printf '{"text": 5}\n' >five.jsonl
printf '{"text": "1"}\n{"else": "1"}\n' >missing.jsonl
printf '{"text": "1"}\n{"text"\n' >broken.jsonl
"$SYSTEM_TOOL" make nan.h5 /features 2 1 2 nan 4
"$SYSTEM_TOOL" make narrow.h5 /features 2 1 2 3 4
"$SYSTEM_TOOL" make flat.h5 /features 0 1 2 3
"$SYSTEM_TOOL" make negative.h5 /labels 0 -1 2
"$SYSTEM_TOOL" make other.h5 /other 0 1 2
head -c 700 p.h5 >cut.h5
refused 2 'there is no text in it$' --p empty.jsonl --q texts.jsonl --model "$model"
refused 2 'only empty ones' --p texts.jsonl --q blank.jsonl --model "$model"
refused 2 'five.jsonl:1: the field text is not a text' --p five.jsonl --q texts.jsonl --model "$model"
refused 2 'missing.jsonl:2: the field text is missing' --p missing.jsonl --q texts.jsonl --model "$model"
refused 2 'broken.jsonl:2: ' --p texts.jsonl --q broken.jsonl --model "$model"
refused 2 'none.jsonl cannot be opened' --p texts.jsonl --q none.jsonl --model "$model"
refused 1 '--model DIR names the model' --p texts.jsonl --q texts.jsonl
refused 1 'need no --model' --p p.h5 --q q.h5 --model "$model"
refused 2 'both must be of one kind' --p p.h5 --q p-labels.h5
refused 2 'have 32 numbers, those of narrow.h5 2' --p p.h5 --q narrow.h5
refused 2 'number 0 of feature 1 of q is nan' --p narrow.h5 --q nan.h5
refused 2 'must have 2 dimensions' --p p.h5 --q flat.h5
refused 2 'label 0 of q is -1' --p p-labels.h5 --q negative.h5
refused 2 'neither /labels nor /features' --p p.h5 --q other.h5
refused 2 'cut.h5' --p p.h5 --q cut.h5
refused 2 'do not fill 300 buckets' --p p.h5 --q q.h5 --buckets 300
refused 2 'labels are from 0 to 1' --p p-labels.h5 --q q-labels.h5 --buckets 2
refused 1 'it is permutation or kmeans++' --p p.h5 --q q.h5 --start best
printf '{"text": "1"}\n' >single.jsonl
mauve again --p single.jsonl --q single.jsonl --model "$model"

# A rank that fails takes the others along.
job 2 mauve --p five.jsonl --q texts.jsonl --model "$model"
status=$?
[ $status != 0 ] || fail "mauve on 2 ranks takes a number for a text"
grep -q 'the field text is not a text' err || fail "mauve on 2 ranks: $(cat err)"
finish
