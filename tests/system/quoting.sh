#!/bin/sh
# quoting.sh: every place that repeats foreign text in a sentence, driven with long runs of bytes that once went past a
# buffer or that would break a line or a terminal: no signal, one sentence of clean UTF-8, exit status 1 or 2.
. "$(dirname "$0")/lib.sh"
cp "$SYSTEM_WORK/sums.jsonl" "$SYSTEM_WORK/input.cfg" .
cp -r "$SYSTEM_WORK/qwen2" good
LC_ALL=C
export LC_ALL

# many POWER TEXT: 2^POWER times TEXT.
many() {
    text=$2
    for _ in $(seq "$1"); do text=$text$text; done
    printf '%s' "$text"
}

# quoted WORDS COMMAND...: fails with one clean sentence; WORDS name the place in the messages of this test.
quoted() {
    place=$1
    shift
    "$@"
    have=$?
    case $have in
    1 | 2) ;;
    *) fail "$place with $kind: exit status $have" ;;
    esac
    [ "$(grep -c '^gradus: error: ' err)" = 1 ] || fail "$place with $kind: $(grep -c '^gradus: error: ' err) sentences"
    [ "$(ours | wc -l)" = 1 ] || fail "$place with $kind: $(ours | wc -l) lines"
    [ "$(ours | tr -d '\n\040-\176\200-\377' | wc -c)" = 0 ] || fail "$place with $kind: a control character reaches the terminal"
    ours | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1 || fail "$place with $kind: the sentence is no UTF-8"
    [ "$(ours | wc -c)" -lt 1100 ] || fail "$place with $kind: a sentence of $(ours | wc -c) bytes"
}

# The program alone, and from standard input; a training run.
plain() {
    "$GRADUS" "$@" >out 2>err </dev/null
}
reading() {
    "$GRADUS" "$@" >out 2>err <lines
}
training() {
    job 1 train input.cfg run.directory="$work/run" "$@"
}

words() {
    quoted "a command" plain "$x"
    quoted "a group of params" plain params "$x"
    quoted "a parameter of params" plain params "$x.$x"
    quoted "a parameter of a group" plain params "run.$x"
    quoted "an option" plain train "--$x"
    quoted "an option with a value" plain plan "--$x=$x"
    quoted "an argument too many" plain params run "$x"
    quoted "a number of an option" plain bench --threads "$x"
    quoted "a real of an option" plain bench --seconds "$x"
    quoted "what bench times" plain bench "$x"
    quoted "--arch" plain init --arch "$x" --output new
    quoted "--heads" plain init --arch qwen2 --heads "$x" --output new
    quoted "--precision" plain export "$x" --precision "$x" --output new
    quoted "--chat" plain tokenize --model good --chat "$x"
    quoted "the path of a model" plain tokenize --model "$x"
    quoted "the path of an input file" plain plan "$x"
    quoted "a folder of an input file" plain plan "$x/$x.cfg"
    quoted "the path of a checkpoint" plain export "$x" --output new
    quoted "the path of a file to inspect" plain inspect "$x"
    quoted "the path of a file to verify" plain inspect --verify "$x"
    quoted "the path of texts to score" job 1 score --model good --input "$x" --output s.h5
    quoted "the path of prompts" job 1 generate input.cfg --input "$x" --output o.jsonl
    quoted "GRADUS_ISA" env GRADUS_ISA="$x" "$GRADUS" bench gemm --seconds 0.01 >out 2>err
}

overrides() {
    quoted "an override without =" training "$x"
    quoted "an override without a group" training "$x=1"
    quoted "an override" training "$x.$x=1"
    quoted "the name of an override" training "run.$x=1"
    quoted "a word" training "objective.gate=$x"
    quoted "a quoted word" training "objective.gate=\"$x\""
    quoted "a real" training "rollout.top_p=$x"
    quoted "an integer" training "run.steps=$x"
    quoted "a list of texts" training "rollout.stop=[\"$x\", $x]"
    quoted "a field of a record" training "reward.parts=({$x=1;})"
    quoted "the name of a reward" training "reward.parts=({name=\"$x\";})"
    quoted "two rewards of a name" training "reward.parts=({name=\"answer$x\";},{name=\"answer$x\";})"
    quoted "the path of the data" training "data.train=({path=\"$x\";prompt=\"q\";answer=\"a\";})"
    quoted "the field of the prompt" training "data.train=({path=\"sums.jsonl\";prompt=\"$x\";answer=\"answer\";})"
    quoted "where" training "data.train=({path=\"sums.jsonl\";prompt=\"question\";answer=\"answer\";where=\"$x\";})"
    quoted "a text in where" training "data.train=({path=\"sums.jsonl\";prompt=\"question\";answer=\"answer\";where=\"answer=='$x'\";})"
    quoted "answer_after" training "data.train=({path=\"sums.jsonl\";prompt=\"question\";answer=\"answer\";answer_after=\"$x\";})"
    quoted "model.path" training "model.path=$x"
    quoted "run.directory" training "run.directory=$x/$x"
}

# input WORDS TEXT: an input file of that text.
input() {
    printf '%s\n' "$2" >bad.cfg
    quoted "$1 in an input file" plain plan bad.cfg
}
inputs() {
    input "nothing else" "$x"
    input "a group" "$x : { };"
    input "a name" "run : { $x = 1; };"
    input "a value" "run : { steps = $x; };"
    input "a text" "run : { steps = \"$x\"; };"
    input "a word" "objective : { gate = \"$x\"; };"
    input "an open text" "run : { directory = \"$x"
    input "an open comment" "/* $x"
    input "an include" "@include \"$x\""
    input "a name twice" "run : { steps = 1; steps = 2; }; # $x"
    input "an escape" "run : { directory = \"\\f$x\"; };"
    input "a number" "run : { steps = 99999999999999999999$x; };"
    input "a last line" "run : { # $x"
    cp bad.cfg "bad$(printf '%.60s' "$x").cfg"
    quoted "the name of an input file" plain plan "bad$(printf '%.60s' "$x").cfg"
}

# row WORDS LINE: data, prompts to generate from, and texts to score, of that line.
row() {
    printf '%s\n' "$2" >lines
    quoted "$1 in data" training 'data.train=({path="lines";prompt="question";answer="answer";where="question==answer";})'
    quoted "$1 in prompts" job 1 generate input.cfg --input lines --output o.jsonl
    quoted "$1 in texts" job 1 score --model good --input lines --output s.h5
    quoted "$1 in JSON texts" reading tokenize --model good --json
    quoted "$1 in messages" reading tokenize --model good --chat none
    quoted "$1 in token ids" reading tokenize --model good --decode
}
rows() {
    row "a line" "$x"
    row "the name of a field" "{\"$j\": 1}"
    row "a value" "{\"question\": \"$j\", \"answer\": 1, \"prompt\": 3, \"text\": 4}"
    row "a role" "{\"messages\": [{\"role\": \"$j\", \"content\": \"$j\"}]}"
    row "a token id" "{\"prompt_token_ids\": [\"$j\"], \"token_ids\": [\"$j\"]}"
    row "a word" "$x \"$x\" 12"
}

# model WORDS FILE PATTERN REPLACEMENT: a model in whose FILE sed has put $y.
model() {
    rm -rf broken
    cp -r good broken
    sed "s/$3/$4/" "good/$2" >"broken/$2"
    cmp -s "good/$2" "broken/$2" && fail "$1: sed changes nothing"
    quoted "$1 in $2" training model.path="$work/broken" prompt.chat=auto
}
models() {
    model "nothing else" config.json '.*' "$y"
    model "model_type" config.json '"qwen2"' "\"$y\""
    model "an activation" config.json '"hidden_act": "[a-z]*"' "\"hidden_act\": \"$y\""
    model "a rope type" config.json '{' "{\"rope_scaling\": {\"rope_type\": \"$y\"},"
    model "a rope field" config.json '{' "{\"rope_scaling\": {\"rope_type\": \"default\", \"$y\": 1},"
    model "a layer type" config.json '{' "{\"layer_types\": [\"$y\"],"
    model "nothing else" tokenizer.json '.*' "$y"
    model "the kind of model" tokenizer.json '"BPE"' "\"$y\""
    model "a token" tokenizer.json '"vocab": *{' "\"vocab\": {\"$y\": \"$y\","
    model "an added token" tokenizer.json '"added_tokens": *\[' "\"added_tokens\": [{\"content\": \"$y\", \"id\": 0},"
    model "a merge" tokenizer.json '"merges": *\[' "\"merges\": [\"$y $y\","
    model "a pre-tokenizer" tokenizer.json '"ByteLevel"' "\"$y\""
    model "a chat template" tokenizer_config.json '{' "{\"chat_template\": \"$y\","
}

# shard NAME JSON: a model whose weights are in one file with that header, or behind that index.
shard() {
    rm -rf broken
    cp -r good broken
    if [ "$1" = model.safetensors ]; then
        length=$(printf '%s' "$2" | wc -c)
        printf "\\$(printf '%03o' $((length % 256)))\\$(printf '%03o' $((length / 256)))\\0\\0\\0\\0\\0\\0%s" "$2" >"broken/$1" 2>/dev/null
    else
        rm broken/model.safetensors
        printf '%s' "$2" >"broken/$1"
    fi
    quoted "$3 in $1" training model.path="$work/broken"
    [ "$1" != model.safetensors ] || quoted "$3 in $1, inspected" plain inspect "broken/$1"
}
shards() {
    shard model.safetensors "$x" "nothing else"
    shard model.safetensors "{$j" "no JSON"
    shard model.safetensors "{\"$j\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}" "a name"
    shard model.safetensors "{\"$j\": 1}" "a tensor that is none"
    shard model.safetensors "{\"a\": {\"dtype\": \"$j\", \"shape\": [0], \"data_offsets\": [0, 0]}}" "a kind of number"
    shard model.safetensors.index.json "{\"weight_map\": {\"$j\": \"model.safetensors\"}}" "a name"
    shard model.safetensors.index.json "{\"weight_map\": {\"a\": \"$j\"}}" "a file"
    shard model.safetensors.index.json "{\"weight_map\": {\"a\": \"/$j\"}}" "a path"
}

# try KIND TEXT [TEXT IN JSON]: x is a run of it, j the same for JSON's texts, y for sed's replacements of these.
try() {
    kind=$1
    x=$(many 11 "$2")
    j=$(many 11 "${3:-$2}")
    y=$(printf '%s' "$j" | sed 's/[\\&/]/\\&/g')
    words
    overrides
    inputs
    rows
    models
    shards
}

# Bytes that continue a character that never began; that never occur; control characters; quotes; valid characters.
case ${1:-} in
broken)
    try "0x80" "$(printf '\200')"
    try "0xff and 0xbf" "$(printf '\377\277')"
    ;;
*)
    try "control characters" "$(printf '\033[1m')" '\u001b[1m'
    try "quotes" "\"'" "\\\"'"
    try "U+1F642" "$(printf '\360\237\231\202')"
    ;;
esac
finish
