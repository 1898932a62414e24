#!/bin/sh
# corpus.sh: prompts from windows of texts: what is shown and what is the reference stand side by side in the text, another window
# comes in each epoch, and runs are the same on any number of ranks and after a restart.
. "$(dirname "$0")/lib.sh"
says() {
    grep -qF -- "$2" "$1" || fail "$1 does not say '$2': $(cat "$1")"
}
awk 'BEGIN {
    for (row = 0; row < 6; row++) {
        printf "{\"body\": \""
        for (i = 0; i < 20; i++)
            printf "%d.%d %s ", row, i, row == 2 ? "größer" : "plus"
        print "\"}"
    }
    print "{\"body\": \"too short to be cut.\"}"
}' >texts.jsonl

# windows RANKS NAME SETTING...: a run on the texts, whose prompts are 14 tokens of a window of 24.
windows() {
    ranks=$1
    run=$2
    shift 2
    job "$ranks" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$run" 'data.train=()' \
        "data.corpus=({path=\"$work/texts.jsonl\";text=\"body\";})" 'prompt.template="Go on: {text}"' adversarial.window_tokens=24 \
        adversarial.completion_tokens=10 run.steps=4 rollout.prompts_per_step=3 reward.parts='({name="length";})' "$@" || {
        fail "$* on $ranks ranks: exit status $?"
        tail -n 3 err
    }
}
rows() {
    "$SYSTEM_TOOL" rows "$1/rollouts/step-00000$2.h5" "$3" "$4"
}
windows 1 run
says run/log.txt "1 of 7 prompts are left out as too long: longer than a prompt of"
says run/log.txt "below 24 tokens"

# With a tokenizer of bytes 14 tokens are 14 bytes, and the text goes on with the reference.
for step in 1 2 3 4; do
    "$SYSTEM_TOOL" prompts run/rollouts/step-00000$step.h5 >taken
    rows run $step /prompt/text /prompt/text_offsets >shown
    rows run $step /prompt/reference /prompt/reference_offsets >hidden
    paste -d '\t' taken shown hidden >>all
done
LC_ALL=C awk -F '\t' 'NR == FNR { text[NR - 1] = $0; next }
    {
        split($1, place, " ")
        prefix = substr($2, 8)
        if (substr($2, 1, 7) != "Go on: " || length(prefix) != 14)
            print "the prompt is: " $2
        if (place[2] != 2 && index(text[place[2]], prefix $3) == 0 || length($3) != 10 && place[2] != 2)
            print "row " place[2] " does not hold: " prefix $3
        times[place[2]]++
        if (seen[place[2], $2]++)
            print "row " place[2] " gives the same window twice: " $2
    }
    END { for (row = 0; row < 6; row++) if (times[row] != 2) print "row " row " came " times[row] " times" }' texts.jsonl all >wrong
[ ! -s wrong ] || fail "$(cat wrong)"
# Letters of two bytes are cut now and then; there is a number for every step.
for row in 0 1 2 3; do
    holds "$(value run /step/redrawn_windows $row) >= 0" "windows drawn again are counted"
done

for ranks in 2 3; do
    windows $ranks run$ranks
    same_whole run run$ranks
done
windows 1 again run.steps=3
windows 2 again
same_whole run again
windows 1 order data.shuffle=false run.steps=1
windows 1 seed data.shuffle=false run.steps=1 run.seed=1
[ "$("$SYSTEM_TOOL" prompts order/rollouts/step-000001.h5)" = "$("$SYSTEM_TOOL" prompts seed/rollouts/step-000001.h5)" ] ||
    fail "the order of the file depends on the seed"
[ "$(rows order 1 /prompt/text /prompt/text_offsets)" != "$(rows seed 1 /prompt/text /prompt/text_offsets)" ] ||
    fail "another seed takes the same windows"

# Of sft the completion is the answer: 10 tokens, and what ends it. A plain file is one text.
awk -F '"' 'NR == 1 { printf "%s", $4 }' texts.jsonl >plain.txt
windows 1 sft run.method=sft "data.corpus=({path=\"$work/plain.txt\";text=\"\";})"
rows sft 1 /answer/token_ids /answer/offsets | awk 'NF != 11 { exit 1 }' || fail "an answer of sft is not a completion and its end"

refused() {
    sentence=$1
    shift
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/no" adversarial.window_tokens=24 adversarial.completion_tokens=10 "$@"
    [ $? = 2 ] || fail "$* is not refused"
    says err "$sentence"
}
corpus="data.corpus=({path=\"$work/texts.jsonl\";text=\"body\";})"
refused "data.train and data.corpus are both given" "$corpus"
refused "leaves no prefix in adversarial.window_tokens = 24" "$corpus" 'data.train=()' adversarial.completion_tokens=24
refused "has no field \"text\"" 'data.train=()' "data.corpus=({path=\"$work/texts.jsonl\";})"
refused "all 7 prompts are too long: longer than a prompt of" "$corpus" 'data.train=()' adversarial.window_tokens=1000
refused "data.train is an empty list" 'data.train=()'
finish
