#!/bin/sh
# inspect.sh: what gradus inspect says of a run, of each pass and of one answer is what the files hold.
. "$(dirname "$0")/lib.sh"
cp -R "$SYSTEM_WORK/qwen2" model
train 1 run model.path="$work/model" checkpoint.every=2 objective.tau_pos=1
rollouts=run/rollouts/step-000003.h5

# shows WORD...: the last `inspect` has a line of these words.
shows() {
    awk -v want="$*" '{ $1 = $1 } $0 == want { found = 1 } END { exit !found }' out || fail "inspect shows no line '$*': $(cat out)"
}
inspect() {
    job 1 inspect "$@" || fail "inspect $*: $(cat err)"
}
# four NUMBER: as a table shows it.
shown() {
    printf "%.$1g" "$2"
}

inspect run
shows 'run: finished, step 3 of 3, exit status 0'
shows 'checkpoint newest checkpoints/step-000003.h5'
shows "eur $(shown 6 "$(value run /pass/eur 2 1)") 1"
shows "reward $(shown 6 "$(value run /step/reward 2)") 1"
grep -q '^  rollouts .* in 3 files: step-000001.h5 to step-000003.h5$' out || fail "inspect does not list the rollouts: $(cat out)"

# The last pass, not the mean of them.
inspect run/diagnostics.h5
shows 'passes: 2 a step; of the last one (above: the mean of them)'
mean=$(awk -v a="$(value run /pass/eur 0 1)" -v b="$(value run /pass/eur 1 1)" -v c="$(value run /pass/eur 2 1)" \
    'BEGIN { printf "%.6g", (a + b + c) / 3 }')
shows "pass/eur $(shown 6 "$(value run /pass/eur 0 1)") $(shown 6 "$(value run /pass/eur 2 1)") $mean 1"

# One answer: its numbers, and the texts of its tokens side by side are its text.
answer=5
begin=$("$SYSTEM_TOOL" value $rollouts /answer/offsets $answer)
end=$("$SYSTEM_TOOL" value $rollouts /answer/offsets $((answer + 1)))
inspect --answer $answer $rollouts
awk '/^ *token +id/ { table = 1; next } table && /^ *[0-9]/' out >table
[ "$(wc -l <table)" = $((end - begin)) ] || fail "the table has $(wc -l <table) tokens of $((end - begin))"
t=3
set --
for column in logprob_sampler logprob ratio gate_derivative entropy; do
    set -- "$@" "$(shown 4 "$("$SYSTEM_TOOL" value $rollouts /token/$column $((begin + t)))")"
done
row=$(sed -n "$((t + 1))p" table | sed 's/.*"//' | awk '{ $1 = $1; print }')
[ "$row" = "$*" ] || fail "token $t has the numbers $row, the file $*"
text=$(sed 's/^[^"]*"//; s/" .*//; s/\\"/"/g' table | grep -v '^<|.*|>$' | tr -d '\n')
grep -qxF "answer: $text" out || fail "the tokens' texts give '$text': $(cat out)"
shows "reward $(shown 6 "$("$SYSTEM_TOOL" value $rollouts /answer/reward $answer)")"
job 1 inspect --answer 24 $rollouts && fail "an answer that is not there is shown"
grep -q 'there is no answer 24: the file holds 0 to 23' err || fail "no sentence on a missing answer: $(cat err)"
# Without the model of the run there are ids; any model may give its tokenizer.
inspect --answer $answer $rollouts
cp out with-model
mv model elsewhere
inspect --answer $answer $rollouts
grep -q '^ids without texts' out || fail "inspect does not say why there are no texts: $(cat out)"
inspect --answer $answer --model elsewhere $rollouts
cmp -s out with-model || fail "--model gives another table"

# A run that calls itself running: alive, silent for long, or without its process.
advice="the same \`gradus train\` begins again, in a folder whose path is as long as those of a cluster's file system"
# claim SECONDS-AGO PID
claim() {
    time=$(date -u -d "@$(($(date +%s) - $1))" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null) || return 1
    printf '{"state": "running", "step": 1, "steps": 3, "checkpoint_step": 0, "next": "wait", "advice": "%s", "host": "%s", "pid": %s, "time": "%s"}\n' \
        "$advice" "$(uname -n)" "$2" "$time" >run/status.json
    inspect run
}
if claim 5 $$; then
    shows 'run: running, step 1 of 3'
    shows next wait
    shows "advice $advice"
    grep -q '^  alive  *alive; last word [5-9] s ago; process' out || fail "a living run: $(cat out)"
    claim 7200 $$
    grep -q '^  alive  *dead or stuck: .*; last word 72[0-9][0-9] s ago' out || fail "a silent run: $(cat out)"
    (exit 0) &
    gone=$!
    wait $gone
    claim 5 $gone
    grep -q '^  alive  *dead: its process is gone' out || fail "a run whose process is gone: $(cat out)"
    shows next continue
fi
finish
