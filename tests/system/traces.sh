#!/bin/sh
# traces.sh: answers of runs become rows that sft learns from, and what it learned goes back into a run.
. "$(dirname "$0")/lib.sh"
says() {
    grep -qF -- "$2" "$1" || fail "$1 does not say '$2': $(cat "$1")"
}
traces() {
    job 1 traces "$@" || fail "traces $*: $(cat err)"
}
train 1 run rollout.temperature=1.2
train 1 other run.seed=3 rollout.temperature=1.2

# All answers, but those that say the same to the same prompt.
traces run other --output all.jsonl
says err "answers = 144, "
lines=$(wc -l <all.jsonl)
[ -z "$(sed 's/,"reasoning":.*//' all.jsonl | sort | uniq -d)" ] || fail "rows come twice"
says err "written = $lines, again = $((144 - lines)), below_reward = 0"
traces run other run --output twice.jsonl
cmp all.jsonl twice.jsonl || fail "a run that is named twice adds rows"
head -n 1 all.jsonl | grep -q '"run":"run","step":1,"source":0,' || fail "no row says where it is from: $(head -n 1 all.jsonl)"
grep -q '"run":"other","step":3,' all.jsonl || fail "rows of the second run are missing"
cp all.jsonl first.jsonl
traces run other --output all.jsonl
cmp first.jsonl all.jsonl || fail "traces of the same runs differ"

# Chosen by reward; grade gives the rows the reward that they say, in the parts that it knows.
traces run other --output good.jsonl --min-reward 0.9
awk '{ match($0, /"reward":[-0-9.e]*/); if (substr($0, RSTART + 9, RLENGTH - 9) < 0.9) exit 1 }' good.jsonl || fail "rewards below 0.9"
[ "$(grep -c . good.jsonl)" = "$(awk '{ match($0, /"reward":[-0-9.e]*/); n += substr($0, RSTART + 9, RLENGTH - 9) >= 0.9 } END { print n + 0 }' all.jsonl)" ] ||
    fail "not all rows with a reward of 0.9 and more"

# The reference behind the reasoning.
traces run other --output closed.jsonl --completion reference
awk '{
    match($0, /"response":"[^"]*"/); response = substr($0, RSTART + 12, RLENGTH - 13)
    match($0, /"reasoning":"[^"]*"/); reasoning = substr($0, RSTART + 13, RLENGTH - 14)
    match($0, /"reference":"[^"]*"/); reference = substr($0, RSTART + 13, RLENGTH - 14)
    if (response != reasoning reference || reasoning !~ /<\\?\/think>$/) print "row " NR ": " response
}' closed.jsonl >wrong
[ ! -s wrong ] || fail "$(head -n 3 wrong)"

# sft learns from them; the result goes into a run, and that one's answers into rows again.
job 1 train "$SYSTEM_WORK/sft.cfg" model.path="$SYSTEM_WORK/qwen2" run.directory="$work/taught" run.steps=10 optimizer.learning_rate=1e-3 \
    "data.train=({path=\"$work/good.jsonl\";prompt=\"prompt\";answer=\"response\";where=\"reward >= 0.9 && finish_reason == 'stop'\";})" ||
    fail "sft on traces: $(cat err)"
train 1 back model.path="$work/taught/model" run.steps=1
traces back --output again.jsonl

job 1 traces nowhere --output no.jsonl
[ $? = 2 ] || fail "a run that is not there is no error"
says err "holds no rollout files"
job 1 traces run --output no.jsonl --completion both
[ $? = 1 ] || fail "an unknown completion is no wrong usage"
[ ! -f no.jsonl ] || fail "a refused command leaves a file"
head -c 3000 run/rollouts/step-000002.h5 >cut.h5 && mkdir -p broken/rollouts && cp cut.h5 broken/rollouts/step-000001.h5
job 1 traces broken --output no.jsonl
[ $? = 2 ] || fail "a damaged file is no error"
says err "broken/rollouts/step-000001.h5"
finish
