#!/bin/sh
# refusals.sh: bad input gets one sentence, an exit status, and leaves every file as it was, on one rank and on three.
. "$(dirname "$0")/lib.sh"
export SYSTEM_NOISE=1 # the launcher or its library speaks as well
cp "$SYSTEM_WORK/sums.jsonl" "$SYSTEM_WORK/input.cfg" .
cp -r "$SYSTEM_WORK/qwen2" qwen2

files() {
    find . ! -name . ! -path ./out ! -path ./err ! -path ./err.pids ! -path ./launcher ! -path ./before ! -path ./after ! -path ./train.err ! -path ./sentences \
        -exec sh -c 'for f; do if [ -f "$f" ]; then cksum "$f"; else echo "$f"; fi; done' sh {} + | sort
}

# refuse STATUS WORDS RANKS ARGUMENT...: what train refuses, plan refuses in the same words.
refuse() {
    refuse_one "$@"
    case "$1 $4" in
    "2 train") ;;
    *) return ;;
    esac
    grep '^gradus: error: ' err >train.err
    status=$1 words=$2 ranks=$3
    shift 4
    refuse_one "$status" "$words" 1 plan --ranks "$ranks" "$@"
    grep '^gradus: error: ' err | diff train.err - >sentences || fail "plan $*: another sentence than train's: $(cat sentences)"
}

refuse_one() {
    want=$1
    words=$2
    shift 2
    files >before
    job "$@"
    have=$?
    files >after
    [ "$have" = "$want" ] || fail "$*: exit status $have, expected $want"
    [ "$(grep -c '^gradus: error: ' err)" = 1 ] || fail "$*: $(grep -c '^gradus: error: ' err) sentences of ours"
    [ "$(ours | wc -l)" -le 3 ] || fail "$*: $(ours | wc -l) lines of ours on standard error"
    grep -qF -- "$words" err || fail "$*: does not say '$words': $(cat err)"
    cmp -s before after || fail "$*: files have changed: $(diff before after)"
}

# bad WORDS RANKS SETTING...: a training run that must be refused; broken WORDS: the same with the model in ./broken.
bad() {
    words=$1
    ranks=$2
    shift 2
    refuse 2 "$words" "$ranks" train input.cfg run.directory="$work/run" "$@"
}
broken() {
    bad "$1" 1 model.path="$work/broken"
    rm -rf broken
    cp -r qwen2 broken
}

# Names and values.
bad "rollout.group_size" 3 rollout.grup_size=4
bad "grup_size" 1 rollout.grup_size=4
bad "rolout" 1 rolout.group_size=4
bad "rollout.group_size" 1 rollout.group_size=0
bad "at least 2" 1 rollout.group_size=1
bad "rollout.group_size" 1 rollout.group_size=many
bad "rollout.group_size" 1 rollout.group_size=4.5
bad "rollout.top_p" 1 rollout.top_p=1.5
bad "optimizer.learning_rate" 1 optimizer.learning_rate=nan
bad "optimizer.learning_rate" 1 optimizer.learning_rate=-1
bad "objective.gate" 1 objective.gate=clap
bad "objective.clip_dual" 1 objective.clip_dual=1.1
bad "update.mini_batches" 1 update.mini_batches=7
bad "optimizer.warmup_steps" 1 optimizer.warmup_steps=9
bad "{prompt}" 1 'prompt.template="no place"'
bad "rollout.temperature = 0" 1 rollout.temperature=0
bad "rollout.temperature = 0" 3 rollout.temperature=0
bad "rollout.max_new_tokens = 128" 1 rollout.max_new_tokens=128
bad "no rule is called 'fromat'" 1 'reward.parts=({name="fromat";})'
bad "lists 'answer' twice" 1 'reward.parts=({name="answer";},{name="answer";})'
bad "objective.kl_coef" 1 run.method=sft objective.kl_coef=0.1
bad "prompt.system" 1 'prompt.system="You are"'
bad "all 64 prompts are too long" 1 prompt.max_tokens=1
bad "3 ranks share 2 tiles" 3 rollout.prompts_per_step=2
refuse 2 "run.directory" 1 train input.cfg
bad "objective.entropy_coef" 1 run.method=sft objective.entropy_coef=0.1

# The input file.
refuse 2 "missing.cfg" 1 train missing.cfg
refuse 2 "missing.cfg" 3 train missing.cfg
printf 'run : { steps = 3;\n' >torn.cfg
refuse 2 "torn.cfg:" 1 train torn.cfg
printf 'run : { steps = 3; steps = 4; };\n' >twice.cfg
refuse 2 "twice.cfg:1" 1 train twice.cfg
printf 'run : { steps = 3; };\nmodle : { path = "x"; };\n' >unknown.cfg
refuse 2 "unknown.cfg:2" 1 train unknown.cfg
printf 'run : { steps = 3; };\n' >little.cfg
refuse 2 "must be given" 1 train little.cfg run.directory="$work/run"

# Data.
bad "missing.jsonl" 1 'data.train=({path="missing.jsonl";prompt="question";answer="answer";})'
bad "missing.jsonl" 3 'data.train=({path="missing.jsonl";prompt="question";answer="answer";})'
bad "sums.jsonl:1" 1 'data.train=({path="sums.jsonl";prompt="text";answer="answer";})'
bad "sums.jsonl" 1 'data.train=({path="sums.jsonl";prompt="question";answer="answer";where="level > 3";})'
bad "where" 1 'data.train=({path="sums.jsonl";prompt="question";answer="answer";where="answer ==";})'
bad "sums.jsonl" 1 'data.train=({path="sums.jsonl";prompt="question";answer="answer";answer_after="####";})'
head -c 3000 sums.jsonl >torn.jsonl
bad "torn.jsonl:" 1 'data.train=({path="torn.jsonl";prompt="question";answer="answer";})'
printf '{"question": "a", "answer": "\377"}\n' >utf8.jsonl
bad "utf8.jsonl:1" 1 'data.train=({path="utf8.jsonl";prompt="question";answer="answer";})'
: >empty.jsonl
bad "empty.jsonl" 1 'data.train=({path="empty.jsonl";prompt="question";answer="answer";})'
awk 'BEGIN { printf "{\"question\": \"1\", \"answer\": \""; for (i = 0; i < 200; i++) printf "1"; print "\"}" }' >long.jsonl
bad "with the answer, than the 128 positions" 1 run.method=sft 'data.train=({path="long.jsonl";prompt="question";answer="answer";})'

# The model.
bad "$work/nowhere" 1 model.path="$work/nowhere"
cp -r qwen2 broken
for file in config.json tokenizer.json model.safetensors; do
    rm "broken/$file"
    broken "$file"
    head -c $(($(wc -c <"qwen2/$file") / 2)) "qwen2/$file" >"broken/$file"
    broken "$file"
    : >"broken/$file"
    broken "$file"
done
head -c 50000 qwen2/model.safetensors >broken/model.safetensors
bad "model.safetensors" 3 model.path="$work/broken"
broken "model.safetensors"
echo more >>broken/model.safetensors
broken "model.safetensors"
cp "$SYSTEM_WORK/qwen3/model.safetensors" broken/model.safetensors
broken "model.safetensors"
sed 's/"num_hidden_layers": 2/"num_hidden_layers": 3/' qwen2/config.json >broken/config.json
broken "model.layers.2"
sed 's/"head_dim": [0-9]*/"head_dim": 1024/' qwen2/config.json >broken/config.json
broken "a head size of 1024"
sed 's/"qwen2"/"mamba"/' qwen2/config.json >broken/config.json
broken "mamba"
sed 's/"A": 65/"A": 700/' qwen2/tokenizer.json >broken/tokenizer.json
broken "tokenizer.json has ids up to 700"
rm -rf broken

# Folders that are taken.
bad "$work/sums.jsonl" 1 run.directory="$work/sums.jsonl/run"
train 1 run run.steps=1
bad "began with other settings: run.seed is 1" 1 run.seed=1
bad "start over with --fresh" 3 run.seed=1
bad "choose another run.directory" 1 --fresh model.path="$work/run/model"
refuse 2 "qwen2: exists" 1 init --arch qwen2 --output qwen2
refuse 2 "step-000009.h5" 1 export run/checkpoints/step-000009.h5 --output exported
train 1 saved run.steps=1 checkpoint.every=1
refuse 2 "qwen2: exists" 1 export saved/checkpoints/step-000001.h5 --output qwen2
head -c 100000 saved/checkpoints/step-000001.h5 >torn.h5
refuse 2 "torn.h5" 1 export torn.h5 --output exported
refuse 2 "torn.h5" 1 inspect --verify torn.h5
refuse 2 "missing.h5" 1 inspect missing.h5

# generate and score.
printf '{"prompt": "1+1="}\n' >good.jsonl
printf '{"prompt": "1+1="}\n{"text": "1+1="}\n' >bad.jsonl
printf '{"prompt_token_ids": [5, 259]}\n' >ids.jsonl
refuse 2 "bad.jsonl:2" 1 generate input.cfg --input bad.jsonl --output answers.jsonl
refuse 2 "bad.jsonl:2" 3 generate input.cfg --input bad.jsonl --output answers.jsonl
refuse 2 "prompt_token_ids[1]" 1 generate input.cfg --input ids.jsonl --output answers.jsonl
refuse 2 "missing.jsonl" 1 generate input.cfg --input missing.jsonl --output answers.jsonl
refuse 2 "positions" 1 generate input.cfg --input good.jsonl --output answers.jsonl rollout.max_new_tokens=126
refuse 75 "nowhere/answers.jsonl" 1 generate input.cfg --input good.jsonl --output nowhere/answers.jsonl
refuse 2 "bad.jsonl:1" 1 score --model qwen2 --input bad.jsonl --output scores.h5
refuse 2 "run.steps" 1 plan little.cfg run.steps=0

# Wrong usage.
refuse 1 "INPUT.cfg" 1 train
refuse 1 "--frsh" 1 train --frsh input.cfg
refuse 1 "--output" 1 generate input.cfg --input good.jsonl
refuse 1 "--arch" 1 init --arch gpt --output new
refuse 1 "--heads" 1 init --arch qwen2 --heads 0 --output new
finish
