#!/bin/sh
# directory.sh: a run removes and replaces what a run has written in its own directory, and nothing else.
. "$(dirname "$0")/lib.sh"

# refuse WORDS RUN [ARGUMENT...]: a run in ./RUN is refused with exit status 2 and a sentence that holds the words.
refuse() {
    words=$1
    run=$2
    shift 2
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" "$@"
    have=$?
    [ $have = 2 ] || fail "$run $*: exit status $have, expected 2: $(cat err)"
    grep -q "^gradus: error: .*$words" err || fail "$run $*: does not say '$words': $(cat err)"
}

# A name that is a pattern for the name of another run.
train 1 run1
train 1 'run[1]'
cp -r run1 kept
refuse "began with other settings: run.seed is 1" 'run[1]' run.seed=1
train 1 'run[1]' --fresh run.steps=1
diff -r run1 kept >out || fail "--fresh in run[1] changed run1: $(cat out)"
[ "$(ls 'run[1]/rollouts' | wc -l)" = 1 ] || fail "--fresh in run[1] left $(ls 'run[1]/rollouts')"

# A model of somebody else where the run's would go, before there is a run and after.
mkdir mine
cp -r "$SYSTEM_WORK/qwen2" mine/model
cp -r mine/model kept.model
refuse "mine/model: one that no run here has left" mine
refuse "mine/model: one that no run here has left" mine --fresh
rm -r run1/model
cp -r kept.model run1/model
refuse "run1/model: one that no run here has left" run1 --fresh
diff -r mine/model kept.model >out || fail "a refused run changed a model: $(cat out)"
diff -r run1/model kept.model >out || fail "a refused run changed a model: $(cat out)"

# Files that are called as a run's are, but no run has written.
mkdir own
echo mine >own/log.txt
refuse "own holds log.txt" own --fresh
[ "$(cat own/log.txt)" = mine ] || fail "own/log.txt was changed"

# config.json and the tokenizer's files go missing while the run is at work.
cp -r "$SYSTEM_WORK/qwen2" lost
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/hours" model.path="$work/lost" run.steps=40 checkpoint.every=20 &
for _ in $(seq 600); do
    [ ! -s hours/metrics.jsonl ] || break
    sleep 0.05
done
rm -r lost
wait $! || fail "a run whose model.path went away: exit status $?: $(cat err)"
for file in config.json tokenizer.json generation_config.json; do
    cmp -s "$SYSTEM_WORK/qwen2/$file" "hours/model/$file" || [ "$file" = config.json ] || fail "hours/model/$file is not the one of the start"
    [ -e "hours/model/$file" ] || fail "hours/model/$file is missing"
done
"$GRADUS" export hours/checkpoints/step-000020.h5 --output exported 2>err || fail "export: $(cat err)"
diff "$SYSTEM_WORK/qwen2/tokenizer.json" exported/tokenizer.json >out || fail "the checkpoint's tokenizer.json is another"

# second ARGUMENT...: a run of one rank beside the job that is at work; what it says goes to ./second.
second() {
    mkdir -p "$work.tmp/second"
    env TMPDIR="$work.tmp/second" OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_btl=self OMPI_MCA_pml=ob1 UCX_TLS=self \
        "$GRADUS" train "$SYSTEM_WORK/input.cfg" "$@" >out 2>second
}

# One run at a time, and --fresh onto one that is at work.
job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/busy" run.steps=20000 &
busy=$!
for _ in $(seq 600); do
    [ ! -s busy/metrics.jsonl ] || break
    sleep 0.05
done
pid=$(sed -n 1p err.pids)
for option in "" --fresh; do
    second run.directory="$work/busy" $option
    have=$?
    [ $have = 2 ] || fail "a second run $option: exit status $have, expected 2: $(cat second)"
    grep -q "^gradus: error: .*run.lock: a run on $(hostname) (process $pid.*) is at work" second || fail "a second run $option: $(cat second)"
done
kill -0 "$pid" || fail "the first run was ended by the second"
kill -KILL "$pid"
wait $busy 2>/dev/null
grep -q "\"state\": \"running\", .*\"host\": \"$(hostname)\", \"pid\": $pid, .*\"time\": " busy/status.json || fail "status.json: $(cat busy/status.json)"
train 1 busy --fresh
[ ! -e busy/run.lock ] || fail "a finished run leaves its lock"
finish
