#!/bin/sh
# outside.sh CASE: rewards from a program and from a shared object.
#
#   equal   they give a run the bits of the built-in reward that they imitate, on 1, 2 and 3 ranks, in generate too
#   fails   whatever goes wrong with one is one sentence on all ranks, with a checkpoint from which the run goes on to the bits of an
#           undisturbed one
. "$(dirname "$0")/lib.sh"

# parts EXTRA: the part length and one of a weight of its own, or what stands in its place.
parts() {
    echo "reward.parts=({name=\"format\";},{$1 weight=-0.5; scale=2.0;})"
}
program="name=\"program\"; program=\"$REWARD_JUDGE\";"
plugin="name=\"plugin\"; library=\"$REWARD_EXAMPLE\"; arguments=\"length\";"

# like RUN PART: it has left what ./length has, its own part in the place of length.
like() {
    for step in 1 2; do
        for kind in rollouts checkpoints; do
            same "$1/$kind/step-00000$step.h5" "length/$kind/step-00000$step.h5" /provenance /manifest /settings /answer/reward_
        done
        "$SYSTEM_TOOL" same "$1/rollouts/step-00000$step.h5" "length/rollouts/step-00000$step.h5" /provenance "/answer/reward_$2" \
            /answer/reward_length || fail "$1: the other parts differ"
    done
    same "$1/diagnostics.h5" length/diagnostics.h5 /provenance /time/ /memory/ tokens_per_s /rewards/
    for row in 0 1; do
        for number in mean std; do
            [ "$(value "$1" "/step/rewards/$2/$number" $row)" = "$(value length "/step/rewards/length/$number" $row)" ] ||
                fail "$1: rewards/$2/$number of row $row differs from that of length"
        done
    done
}

# outside NAME PART EXTRA: runs on 1, 2 and 3 ranks.
outside() {
    for ranks in 1 2 3; do
        train $ranks "$1-$ranks" run.steps=2 checkpoint.every=1 checkpoint.keep=9 "$(parts "$3")"
        like "$1-$ranks" "$2"
    done
}

equal() {
    train 2 length run.steps=2 checkpoint.every=1 checkpoint.keep=9 "$(parts 'name="length";')"
    holds "$(value length /step/rewards/length/std 0) > 0" "answers of several lengths"
    # A path that is said to be empty stays so, and does not become a folder, when the settings of a run are read again.
    "$GRADUS" params reward.parts --input length/settings.cfg >said
    grep -q 'name = "length"; .* program = ""; library = ""; ' said || fail "reward.parts of settings.cfg: $(cat said)"
    outside reverse program "$program arguments=\"reverse\";"
    outside plugin plugin "$plugin"
    if python3 -c 'import json' 2>/dev/null; then
        outside python program "name=\"program\"; program=\"$REWARD_EXAMPLES/program.py\"; arguments=\"length\";"
    fi
    for part in 'name="length";' "$program arguments=\"length\";" "$plugin"; do
        for ranks in 1 2; do
            job $ranks generate "$SYSTEM_WORK/input.cfg" --input "$SYSTEM_WORK/sums.jsonl" --output answers.jsonl "$(parts "$part")" ||
                fail "generate with $part: $(cat err)"
            sed 's/"\(length\|program\|plugin\)":/"part":/g' answers.jsonl >answers
            [ -f answers.first ] || cp answers answers.first
            cmp answers answers.first || fail "generate with $part on $ranks ranks gives other rewards"
        done
    done
}

# Settings of the run that fails and of the one that does not; the program does what the file says.
long="run.steps=4 checkpoint.every=0 checkpoint.every_s=0 output.rollouts_every=1 parallel.deadline_s=120"

# broken RANKS RUN PART WORDS: fails in step 3, tells WORDS once, and has kept step 2.
broken() {
    # shellcheck disable=SC2086
    job "$1" train "$SYSTEM_WORK/input.cfg" run.directory="$work/$2" $long "$(parts "$3")"
    have=$?
    [ $have = 75 ] || [ "$1" != 1 ] || fail "$2: exit status $have, expected 75: $(ours)"
    [ $have != 0 ] || fail "$2 has not failed"
    [ "$(grep -c '^gradus: ' err)" = 1 ] || fail "$2: not one sentence: $(ours)"
    grep '^gradus: ' err | grep -qF "$4" || fail "$2: the sentence does not say '$4': $(ours)"
    grep '^gradus: ' err | grep -q "after step 2, which .*/step-000002.h5 holds" || fail "$2: names no checkpoint: $(ours)"
    grep -q '"state": "failed", "step": 2, .*"checkpoint_step": 2, "next": "continue", "exit": 75' "$2/status.json" ||
        fail "$2: status.json says $(cat "$2/status.json")"
    [ -z "$(find "$2" -name '*.part' -o -name run.lock)" ] || fail "$2: unfinished files stay"
}

# goes_on RANKS RUN PART [WHOLE]: the same command, after the repair, gives the whole run.
goes_on() {
    # shellcheck disable=SC2086
    train "$1" "$2" $long "$(parts "$3")"
    same_whole "${4:-whole}" "$2"
}

fails() {
    asked="$program arguments=\"$work/mode\"; deadline_s="
    echo length >mode
    # shellcheck disable=SC2086
    train 2 whole $long "$(parts "${asked}600.0;")"
    while read -r ranks name deadline mode <&3; do
        echo "${mode%% | *}" >mode
        broken "$ranks" "$name" "${asked}$deadline;" "${mode#* | }"
        echo length >mode
        goes_on "$ranks" "$name" "${asked}600.0;"
    done 3<<'END'
1 dies 600.0 die_step 3 | has ended (exit status 3) after 0 of 24 answers
3 dies_beside 600.0 die_step 3 | has ended (exit status 3) after
2 dies_alone 600.0 die_alone 3 | has ended (exit status 3) after
2 bad 600.0 write_step 3 {"id": %, "reward": NaN} | the field "reward" is not valid JSON
2 dies_of_two 600.0 die_step 3 | has ended (exit status 3) after
2 late 15.0 late_step 3 | answers within 15 s, the deadline_s of its part
END
    # A shared object that fails on every rank, and on some.
    breaks="name=\"plugin\"; library=\"$REWARD_BREAKS\"; arguments=\"$work/broken_step\";"
    echo 0 >broken_step
    # shellcheck disable=SC2086
    train 2 whole_plugin $long "$(parts "$breaks")"
    for n in 1 2 3; do
        echo 3 >broken_step
        broken $n "breaks-$n" "$breaks" "the scale is broken"
        echo 0 >broken_step
        goes_on $n "breaks-$n" "$breaks" whole_plugin
    done
    # In the first step there is nothing to keep.
    echo die 1 >mode
    # shellcheck disable=SC2086
    job 2 train "$SYSTEM_WORK/input.cfg" run.directory="$work/first" $long "$(parts "${asked}600.0;")" && fail "first has not failed"
    grep '^gradus: ' err | grep -q 'in the first step' || fail "first: $(ours)"
    # Another version is refused before anything is written.
    job 1 train "$SYSTEM_WORK/input.cfg" run.directory="$work/version" "$(parts "name=\"plugin\"; library=\"$REWARD_VERSION\";")"
    [ $? = 2 ] || fail "a library of another version: not refused"
    grep -q 'made for version 2' err || fail "version: $(ours)"
    [ ! -e version ] || fail "version: something was written"
}

"$1"
finish
