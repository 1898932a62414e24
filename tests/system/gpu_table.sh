#!/bin/sh
# gpu_table.sh: tests/gpu.sh where there is no GPU: it says so and is skipped. With a GPU that only nvidia-smi believes in, and tests
# that only seem to be built, its table tells what passed, failed, was left out and cut off, in the order of importance; and the
# goals are found in what the benches print.
. "$(dirname "$0")/lib.sh"
root=$(cd "$here/../.." && pwd)

# --- goals, from what the program prints on the CPU of a model whose folder has the name of a shape ---

mkdir shapes
for size in 0.5b 1.5b 7b; do
    job 1 init --arch qwen2 --layers 2 --width 32 --heads 4 --kv-heads 2 --mlp 64 --max-positions 256 --output "shapes/qwen2.5-$size" ||
        fail "init: $(cat err)"
    for what in step decode head; do
        job 1 bench $what --model "shapes/qwen2.5-$size" --threads 1 --seconds 0.01 --lora 4 || fail "bench $what: $(cat err)"
        cat out >>printed
    done
done
# What lab/bench_rows prints, by its own format: it can time no CPU.
format=$(sed -n 's/.*printf("\(%-26s %[^"]*\)", ROWS\[i\]\.name.*/\1/p' "$root/cuda/lab/bench_rows.c")
[ -n "$format" ] || fail "lab/bench_rows prints its rows by another format"
# shellcheck disable=SC2059
printf "$format" 'adamw 500 M' 3.25 4300.0 97.6 >>printed
sed -E 's/^(decode +)8( answers)/\164\2/; s/^(decode +)32( answers)/\1256\2/' printed >sample

# figure GOAL: what was found; met GOAL: whether it is met
row_of() { awk -F '  +' -v name="$1" '$1 == name' goals; }
figure() { row_of "$1" | sed -E "s,^.* ([-0-9.]+) (%|TFLOP|of the bare).*,\1,"; }
met() { row_of "$1" | sed 's/.*  *//'; }

awk -f "$root/tests/gpu/goals.awk" sample >goals || fail "goals.awk fails"
for size in 0.5b 7b; do
    for goal in "$size, decode 1" "$size, decode 64" "$size, decode 256" "$size, head" "$size, head, gradient"; do
        holds "$(figure "$goal") > 0" "$goal is found: $(row_of "$goal")"
    done
    [ "$(figure "$size, decode 512")" = - ] || fail "a figure that nobody printed is found: $(row_of "$size, decode 512")"
done
for goal in "0.5b, forward + backward" "1.5b, forward + backward"; do
    holds "$(figure "$goal") > 0" "$goal is found: $(row_of "$goal")"
done
# That of the adapter, of all weights and of the other shapes are told apart.
want=$(awk '/^shape .*7b/ { on = 1 } on && /^with an adapter/ { getline; getline; print $(NF - 1) }' printed | head -n 1)
holds "$(figure "7b, adapter, forward + backward") == $want" "TFLOP/s of 7b with an adapter: $(row_of "7b, adapter, forward + backward"), printed $want"
want=$(awk '/^shape .*1.5b/ { on = 1 } on && /^forward \+ backward/ { print $6 }' printed | head -n 1)
holds "$(figure "1.5b, forward + backward") == $want" "1.5b: $(row_of "1.5b, forward + backward"), printed $want"
holds "$(figure AdamW) == 98" "AdamW: $(row_of AdamW)"
[ "$(met AdamW)" = yes ] || fail "AdamW at 98 % is not met: $(row_of AdamW)"
[ "$(met "7b, adapter, forward + backward")" = no ] || fail "TFLOP/s of a tiny model are enough: $(row_of "7b, adapter, forward + backward")"
case $(row_of "0.5b, decode 512") in
*"not measured") ;;
*) fail "0.5b, decode 512: $(row_of "0.5b, decode 512")" ;;
esac
sed -E 's/^(adamw.* )98%/\184%/' sample | awk -f "$root/tests/gpu/goals.awk" | grep -q '^AdamW .* no$' || fail "84 % of a copy are enough for AdamW"
grep -Eq '^goals: [0-9]+ met, [0-9]+ missed, 2 not measured$' goals || fail "the goals are not counted: $(tail -n 1 goals)"

# --- the table ---

mkdir bin
cat >bin/nvidia-smi <<'END'
#!/bin/sh
[ -z "${NO_GPU:-}" ] || exit 9
case $1 in *compute_cap) echo 9.0 ;; *) echo "a GPU" ;; esac
END
# The build: programs of each kind.
cat >bin/cmake <<'END'
#!/bin/sh
[ "$1" != --build ] || exit 0
mkdir -p "$4/tests" "$4/lab"
make() { printf '#!/bin/sh\n%s\n' "$2" >"$folder/$1" && chmod +x "$folder/$1"; }
folder=$4
make tests/cuda_good 'exit 0'
make tests/cuda_head 'echo "a sum is wrong"; exit 1'
make tests/cuda_none 'exit 77'
make tests/unit_backend_good 'exit 0'
make lab/bench_rows 'cat "$SAMPLE"'
make lab/bench_product "${SLOW:-exit 0}"
END
cat >bin/compute-sanitizer <<'END'
#!/bin/sh
echo "$@" >>"$SANITIZED"
END
chmod +x bin/*
SAMPLE=$work/sample SANITIZED=$work/sanitized GRADUS_BUILD=$work/built
export SAMPLE SANITIZED GRADUS_BUILD

# gpu WORD=VALUE...: tests/gpu.sh, its exit status in $status
gpu() {
    env PATH="$work/bin:$PATH" "$@" sh "$root/tests/gpu.sh" >told 2>&1
    status=$?
}

# table NAME: the result of a part in the table
table() { sed '1,/^$/d' told | awk -v name="$1" '$1 == name { sub(/^[^ ]+ +/, ""); sub(/ +[0-9]+ s$/, ""); print }'; }

# is NAME RESULT
is() { [ "$(table "$1")" = "$2" ] || fail "$1 is '$(table "$1")' in the table, not '$2': $(cat told)"; }

gpu NO_GPU=1
[ "$status $(cat told)" = "77 gpu.sh: skipped: nvidia-smi shows no GPU" ] || fail "without a GPU: exit status $status, $(cat told)"

gpu A=
[ $status = 1 ] || fail "a failing test: exit status $status"
is build passed
is cuda_good passed
is cuda_head failed
is cuda_none skipped
is unit_backend_good passed
is bench_rows passed
is bench_product passed
is memcheck_cuda_head passed
is racecheck_cuda_head passed
grep -q "racecheck .*/tests/cuda_head" sanitized || fail "compute-sanitizer was not run: $(cat sanitized)"
grep -q 'a sum is wrong' told || fail "a failing test's words are lost"
tail -n 1 told | grep -Eq '^gpu.sh: 1 failed, 0 left out' || fail "the last line: $(tail -n 1 told)"
grep -q '^AdamW .* 98 .*yes$' told || fail "the goals are not in the table: $(cat told)"
order=$(sed '1,/^$/d; /^$/,$d' told | awk '{ print $1 }' | tr '\n' ' ')
[ "$order" = "build cuda_good cuda_head cuda_none unit_backend_good bench_rows bench_product memcheck_cuda_head racecheck_cuda_head " ] ||
    fail "the order: $order"

# What there is no time for is in the table, which comes in time.
gpu GRADUS_LIMIT=0
[ $status = 2 ] || fail "without time: exit status $status"
is build "left out"
grep -q '^AdamW .*not measured$' told || fail "without time the goals are: $(cat told)"
gpu GRADUS_LIMIT=0 GRADUS_TESTS='good|bench_product'
is unit_backend_good "left out"
is bench_product "left out"
gpu GRADUS_LIMIT=10 GRADUS_TESTS=bench_product SLOW='sleep 600'
[ $status = 2 ] || fail "cut off: exit status $status"
is bench_product "cut off"
gpu GRADUS_TIMEOUT=1 GRADUS_TESTS=bench_product SLOW='sleep 600'
[ $status = 1 ] || fail "late: exit status $status"
is bench_product late

# A machine that is taken away gets its table.
env PATH="$work/bin:$PATH" GRADUS_TESTS=bench_product SLOW="echo begun >$work/begun; sleep 600" sh "$root/tests/gpu.sh" >told 2>&1 &
child=$!
waited=0
while [ ! -f begun ] && [ $waited -lt 600 ]; do
    sleep 0.1
    waited=$((waited + 1))
done
kill $child
wait $child
[ $? = 2 ] || fail "stopped by a signal: another exit status"
is bench_product "cut off"
grep -q 'stopped by a signal' told || fail "stopped by a signal: $(cat told)"
finish
