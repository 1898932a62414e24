# lib.sh: what the system tests share; sourced by each of them, from its own folder below $SYSTEM_WORK.
#
#   GRADUS           the program
#   SYSTEM_TOOL      tests/system/tool.c, which reads HDF5 files
#   SYSTEM_LAUNCH    the launcher up to the number of ranks
#   SYSTEM_WORK      where setup.sh has put models and data
#
# Each check prints a sentence when it fails; `finish` ends the test with 1 then.
set -u
here=$(cd "$(dirname "$0")" && pwd)
name=$(basename "$0" .sh)${1:+-$1}
failures=0
work=$SYSTEM_WORK/$name
rm -rf "$work" "$work.tmp"
mkdir -p "$work" "$work.tmp"
cd "$work" || exit 1

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

finish() {
    [ "$failures" = 0 ] || echo "$name: $failures failed; the files are in $work"
    [ "$failures" != 0 ] || rm -rf "$work" "$work.tmp"
    exit $((failures > 0))
}

# job RANKS ARGUMENT...: gradus on so many ranks; what the ranks say on standard error goes to ./err, their process ids to
# ./err.pids, what the launcher says of them to ./launcher.
job() {
    ranks=$1
    shift
    : >err
    : >err.pids
    # A single rank that looks for no networks and no daemon starts at once, and can be held to small files; Open MPI's needs
    # a folder of its own then.
    case $ranks in
    1) set -- env TMPDIR="$work.tmp" OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_btl=self OMPI_MCA_pml=ob1 UCX_TLS=self \
        sh "$here/rank.sh" "$work/err" "$GRADUS" "$@" ;;
    *) set -- $SYSTEM_LAUNCH "$ranks" sh "$here/rank.sh" "$work/err" "$GRADUS" "$@" ;;
    esac
    "$@" >out 2>launcher
}

# ours: the lines of ./err that the program wrote, sentences and log; an MPI library says there what it likes.
ours() {
    grep -E '^gradus: |^\[[0-9]+\] ' err
}

# train RANKS NAME SETTING...: a run of input.cfg in ./NAME that must finish.
train() {
    ranks=$1
    run=$2
    shift 2
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" "$@" || {
        fail "train $* on $ranks ranks in $run: exit status $?"
        tail -n 5 err
    }
}

# same A B WORD...: all datasets of two files have the same bits; those with a WORD in their name are not compared.
same() {
    "$SYSTEM_TOOL" same "$@" || fail "$1 and $2 differ"
}

differ() {
    "$SYSTEM_TOOL" same "$@" 2>/dev/null && fail "$1 and $2 are the same"
}

# same_numbers A B: two runs have the same metrics, but for times and memory.
same_numbers() {
    same "$1/diagnostics.h5" "$2/diagnostics.h5" /provenance /time/ /memory/ tokens_per_s
}

same_rollouts() {
    for file in "$1"/rollouts/step-*.h5; do
        same "$file" "$2/rollouts/$(basename "$file")" /provenance
    done
}

# metrics_of RUN: the lines of metrics.jsonl without times, memory and the checksums, which these change.
metrics_of() {
    sed -E 's/"((time|memory)\/[^"]*|[a-z_\/]*tokens_per_s)": [^,}]*(, )?//g; s/, "crc32.*//' "$1/metrics.jsonl"
}

# same_whole A B: two runs have left the same, but for times, memory and what may differ in settings: rollouts, diagnostics,
# metrics.jsonl, the checkpoints that both have, the model or adapter.
same_whole() {
    [ "$(ls "$1/rollouts")" = "$(ls "$2/rollouts")" ] || fail "$1 and $2 have other rollouts: $(ls "$2/rollouts")"
    same_rollouts "$1" "$2"
    same_numbers "$1" "$2"
    metrics_of "$1" >metrics.a
    metrics_of "$2" >metrics.b
    cmp metrics.a metrics.b || fail "metrics.jsonl of $1 and $2 differ"
    newest=$(ls "$1/checkpoints" | tail -n 1)
    for file in $(ls "$1/checkpoints"); do
        [ ! -f "$2/checkpoints/$file" ] && [ "$file" != "$newest" ] ||
            same "$1/checkpoints/$file" "$2/checkpoints/$file" /provenance /manifest /settings
    done
    for result in model adapter; do
        for file in "$1/$result"/*.safetensors; do
            [ ! -f "$file" ] || cmp "$file" "$2/$result/$(basename "$file")" || fail "$result of $1 and $2 differ"
        done
    done
    [ -z "$(find "$2" -name '*.part')" ] || fail "$2: unfinished files stay: $(find "$2" -name '*.part')"
}

# value RUN PATH ROW [COLUMN]: one number of its diagnostics.
value() {
    file=$1/diagnostics.h5
    shift
    "$SYSTEM_TOOL" value "$file" "$@"
}

# holds EXPRESSION WORDS...: an awk expression over numbers.
holds() {
    awk "BEGIN { exit !($1) }" || fail "$1 does not hold: $2"
}

# the_same SETTINGS: they leave the same on 1, 2 and 3 ranks, with and without shards and what is computed again. A test that asks
# for it defines `run RANKS NAME SETTINGS SETTING...`, which trains, and `same_run A B`, which compares.
the_same() {
    run 1 one "$1"
    run 2 two "$1" parallel.shard=true
    same_run one two
    run 3 three "$1"
    same_run one three
    run 3 shards "$1" parallel.shard=true model.recompute=true
    same_run one shards
    rm -rf one two three shards
}

# goes_on RANKS RANKS SETTINGS: two runs of 4 steps, the second one stopped after 2 and gone on with, on other ranks.
# By `run` as above.
goes_on() {
    first=$1
    second=$2
    shift 2
    run 1 whole "$* run.steps=4 checkpoint.every=2 checkpoint.keep=4"
    run "$first" parts "$* run.steps=2 checkpoint.every=2 checkpoint.keep=4"
    run "$second" parts "$* run.steps=4 checkpoint.every=2 checkpoint.keep=4"
    same_whole whole parts
    rm -rf whole parts
}

# of NAME [COLUMN]: a number of the first step of ./run.
of() {
    value run "/step/$1" 0
}

# long_texts ROWS PIECES: lines of JSON whose field `text` is long enough for a window, to standard output.
long_texts() {
    awk -v rows="$1" -v pieces="$2" 'BEGIN {
        for (row = 0; row < rows; row++) {
            printf "{\"text\": \""
            for (i = 0; i < pieces; i++)
                printf "%d.%d %s ", row, i, (row + i) % 3 ? "plus" : "minus"
            print "\"}"
        }
    }'
}
