#!/bin/sh
# plan_real.sh: on the model that GRADUS_REAL_MODEL names (SmolLM2-135M-Instruct), `gradus plan` foretells the largest resident
# size of a rank to 3 %: with and without a reference model and recomputation, in sft, in bf16, with an adapter, on 1 and 2 ranks.
. "$(dirname "$0")/lib.sh"
[ -n "${GRADUS_REAL_MODEL:-}" ] || {
    echo "GRADUS_REAL_MODEL does not name a directory with SmolLM2-135M-Instruct"
    exit 77
}

# Rows of one length, and a temperature at which no answer ends by itself: the plan counts rows as long as they may get.
awk 'BEGIN {
    for (i = 0; i < 8; i++) {
        text = ""
        for (k = 0; k < 40; k++)
            text = text " number"
        printf "{\"question\": \"%s\", \"answer\": \"%s%s\"}\n", text, text, text
    }
}' >rows.jsonl
cat >input.cfg <<END
run : { steps = 2; };
model : { path = "$GRADUS_REAL_MODEL"; };
data : { train = ( { path = "rows.jsonl"; prompt = "question"; answer = "answer"; } ); };
prompt : { chat = "none"; };
rollout : { prompts_per_step = 2; group_size = 4; max_new_tokens = 48; temperature = 5.0; };
checkpoint : { every = 0; every_s = 0; };
parallel : { threads = 1; };
END

# foretold RANKS NAME SETTING...
foretold() {
    ranks=$1
    run=$2
    shift 2
    "$GRADUS" plan input.cfg --ranks "$ranks" run.directory="$run" "$@" >plan.txt || fail "gradus plan $*"
    plan=$(sed -n 's/^  the most: \([0-9.]*\) MiB.*/\1/p' plan.txt)
    job "$ranks" train input.cfg run.directory="$run" "$@" || fail "train $* on $ranks ranks: $(tail -n 3 err)"
    peak=$(sed -n 's/.*resident_peak_mib = \([0-9.]*\),.*/\1/p' "$run/log.txt")
    echo "$run: planned $plan MiB, resident $peak MiB"
    holds "$plan > 0.97 * $peak && $plan < 1.03 * $peak" "planned $plan MiB, resident $peak MiB for $* on $ranks ranks"
    rm -rf "$run"
}

for ranks in 1 2; do
    foretold $ranks rl-$ranks
    foretold $ranks recompute-$ranks model.recompute=true
    foretold $ranks kl-$ranks objective.kl_coef=0.1
    foretold $ranks kl-recompute-$ranks objective.kl_coef=0.1 model.recompute=true
    foretold $ranks sft-$ranks run.method=sft
    foretold $ranks bf16-kl-$ranks model.precision=bf16 objective.kl_coef=0.1
    foretold $ranks lora-$ranks lora.rank=64 lora.alpha=128
    foretold $ranks lora-bf16-kl-$ranks lora.rank=64 lora.alpha=128 model.precision=bf16 objective.kl_coef=0.1
done
finish
