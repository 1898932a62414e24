#!/bin/sh
# adversarial.sh CASE: the game of a generator and a discriminator on one model, whole runs.
#   bits: every choice leaves the same on 1, 2 and 3 ranks, with and without shards, in one pass or several
#   restart: stopped in the middle, a run goes on to the bit: head, baseline, windows
#   numbers: rewards, loss and metrics follow from the logits that the rollout files hold; what is judged is what was written
#   reasoning: what a discriminator that reasons reads, writes and learns by follows from its rollout files
#   trip: continuations become rows of sft, and what that has learned goes back into the game
#   inputs: what contradicts itself is refused, what follows from the method is set; traces, inspect and plan know its files
. "$(dirname "$0")/lib.sh"
says() {
    grep -qF -- "$2" "$1" || fail "$1 does not say '$2': $(cat "$1")"
}
long_texts 12 20 >texts.jsonl
cat >game.cfg <<END
run : { method = "adversarial"; steps = 3; };
model : { path = "$SYSTEM_WORK/qwen2"; };
data : { corpus = ( { path = "$work/texts.jsonl"; } ); };
prompt : { chat = "none"; template = "On: {text}"; };
adversarial : { window_tokens = 30; completion_tokens = 12; head_learning_rate = 1e-2; };
rollout : { prompts_per_step = 6; group_size = 2; };
objective : { kl_coef = 0.05; };
optimizer : { learning_rate = 1e-3; beta1 = 0.95; beta2 = 0.95; };
checkpoint : { every = 3; };
parallel : { threads = 1; groups_per_tile = 1; };
END
question='adversarial.judge_template=A:{prefix}|{completion}?<think>'
reasons="adversarial.reason_tokens=7 $question"
lora="lora.rank=4 lora.alpha=8 lora.rank_stabilized=true"

# run RANKS NAME SETTING...: of which the first word may be several.
# shellcheck disable=SC2086
run() {
    ranks=$1
    run=$2
    several=$3
    shift 3
    job "$ranks" train game.cfg run.directory="$work/$run" $several "$@" || {
        fail "$several $* on $ranks ranks in $run: exit status $?"
        tail -n 5 err
    }
}

same_run() {
    same_whole "$1" "$2"
}

# column COUNT FILE PATH [COLUMN]: so many rows of one, a number on a line.
column() {
    count=$1
    file=$2
    path=$3
    for row in $(seq 0 $((count - 1))); do
        "$SYSTEM_TOOL" value "$file" "$path" "$row" "${4:-0}"
    done
}

# judged STEP: a line "label answer z0 z1" for each of the 18 sequences of a step of ./run.
judged() {
    file=run/rollouts/step-00000$1.h5
    for dataset in label answer logits; do
        column 18 "$file" "/discriminator/$dataset" >"$dataset.column"
    done
    column 18 "$file" /discriminator/logits 1 >second.column
    paste -d ' ' label.column answer.column logits.column second.column
}

# of NAME STEP: a number of a step of ./run.
of() {
    value run "/step/$1" $(($2 - 1))
}

# near NAME STEP EXPECTED [SQUARE]: up to the root of SQUARE.
near() {
    holds "($(of "$1" "$2") - ($3)) ^ 2 <= ${4:-1e-18} * (1 + ($3) ^ 2)" "$1 of step $2 is $(of "$1" "$2"), expected $3"
}

# game_numbers STEP: metrics of a step from its file. exp of awk has the precision for that.
game_numbers() {
    judged "$1" >sequences
    for sum in 'd_loss:log(1 + exp((1 - 2 * own) * (z1 - z0))):1' 'probability_written:1 / (1 + exp(z0 - z1)):!own' \
        'accuracy_real:z1 > z0:own' 'accuracy_written:z1 <= z0:!own'; do
        mean=$(awk "{ own = \$1; z0 = \$3; z1 = \$4; if ($(echo "$sum" | cut -d : -f 3)) { n++; s += $(echo "$sum" | cut -d : -f 2) } }
            END { printf \"%.17g\", s / n }" sequences)
        near "adversarial/$(echo "$sum" | cut -d : -f 1)" "$1" "$mean"
    done
    near loss "$1" "$(of policy_loss "$1") + 3 * $(of adversarial/d_loss "$1")"
    column 12 "$file" /answer/reward >rewards
    awk '$2 >= 0 { printf "%.17g\n", 1 / (1 + exp($3 - $4)) }' sequences | paste -d ' ' rewards - |
        awk '($1 - $2) ^ 2 > 1e-24 { exit 1 }' || fail "rewards of step $1 are not the probabilities of its logits"
    mean=$(awk '{ s += $1 } END { printf "%.17g", s / NR }' rewards)
    near reward "$1" "$mean"
    "$SYSTEM_TOOL" rows "$file" /discriminator/token_ids /discriminator/offsets >read.rows
    "$SYSTEM_TOOL" rows "$file" /answer/token_ids /answer/offsets >answer.rows
    "$SYSTEM_TOOL" rows "$file" /prompt/text /prompt/text_offsets | cut -c 5- >prefix.rows
    "$SYSTEM_TOOL" rows "$file" /prompt/reference /prompt/reference_offsets >real.rows
    column 12 "$file" /answer/finish_reason >ended
}

# reasoned STEP TAG: a line for each of the 18 sequences of a step of ./run, which asks $question: real or not, success, value, advantage,
# drawn tokens, sum of their log-probabilities, 1 where it was closed by force. Says what is not as it should be: the question's
# bytes around prefix and completion, or what closes it: the closing tag is one token TAG, or bytes (-1).
reasoned() {
    file=run/rollouts/step-00000$1.h5
    for dataset in label value advantage completion completion_end reason_begin reason_end reason_forced logits; do
        column 18 "$file" /discriminator/$dataset >$dataset.column
    done
    column 18 "$file" /discriminator/logits 1 >second.column
    for dataset in token_ids:offsets reason_logprob:reason_offsets reason_logprob_sampler:reason_offsets; do
        "$SYSTEM_TOOL" rows "$file" /discriminator/${dataset%:*} /discriminator/${dataset#*:} >${dataset%:*}.rows
    done
    cmp -s reason_logprob.rows reason_logprob_sampler.rows || fail "step $1: the trainer has other log-probabilities of the reasoning than the sampler"
    paste -d ' ' label.column value.column advantage.column completion.column completion_end.column reason_begin.column \
        reason_end.column reason_forced.column logits.column second.column >places
    awk -v tag="$2" 'function says(text, at, row, i, bytes) {
            n = split(text, bytes, " ")
            for (i = 1; i <= n; i++) if (ids[at + i] != bytes[i]) print "row " row " token " at + i " is " ids[at + i] ", not " bytes[i]
            return at + n
        }
        FILENAME == "places" { place[FNR] = $0; next }
        FILENAME == "reason_logprob.rows" { drawn[FNR] = NF; sum[FNR] = 0; for (i = 1; i <= NF; i++) sum[FNR] += $i; next }
        {
            split(place[FNR], p, " "); delete ids; length_of = split($0, ids, " ")
            says("65 58", 0, FNR); says("124", p[4] - 1, FNR); if (p[4] != 21) print "row " FNR ": completion at " p[4]
            at = says("63 60 116 104 105 110 107 62", p[5], FNR)
            if (at != p[6] || p[7] - p[6] != drawn[FNR]) print "row " FNR ": drawn from " p[6] " to " p[7]
            at = p[7]; if (p[8]) at = says((tag < 0 ? "60 47 116 104 105 110 107 62" : tag) " 10 10", at, FNR)
            if (at != length_of) print "row " FNR " ends at " length_of ", not " at
            for (i = p[6] + 1; i <= p[7]; i++)
                if (ids[i] == tag && (i < p[7] || p[8])) print "row " FNR " goes on behind its tag"
            if (!p[8] && ids[p[7]] != tag) print "row " FNR " is not closed"
            success = (p[10] > p[9]) == p[1]
            if ((success - p[2] - p[3]) ^ 2 > 1e-24) print "row " FNR ": advantage " p[3]
            print p[1], success, p[2], p[3], drawn[FNR], sum[FNR], p[8] >"reasons"
        }' places reason_logprob.rows token_ids.rows >wrong
    [ ! -s wrong ] || fail "step $1: $(head -n 5 wrong)"
}

# learned STEP SHARE: the metrics of a step from that; SHARE is an awk expression of the drawn tokens, the weight of a token.
learned() {
    for sum in 'value:$3' 'value_error:($2 - $3) ^ 2' 'success:$2' 'reason_length:$5' 'reason_forced:$7' "reason_loss:-18 * \$4 * \$6 $2"; do
        near "adversarial/${sum%%:*}" "$1" "$(awk "{ s += ${sum#*:} } END { printf \"%.17g\", s / NR }" reasons)" 1e-12
    done
    near loss "$1" "$(of policy_loss "$1") + 3 * ($(of adversarial/d_loss "$1") + $(of adversarial/value_error "$1") + $(of adversarial/reason_loss "$1"))"
}

case $1 in
bits)
    the_same "$lora"
    the_same "model.path=$SYSTEM_WORK/qwen3 adversarial.pooling=mean adversarial.input=prompt objective.kl_coef=0"
    the_same "$lora adversarial.reward=logit adversarial.length_rule=penalty objective.kl_in=reward parallel.tokens_per_pass=60"
    the_same "$lora adversarial.grad_norms=false update.iterations=2"
    the_same "$lora adversarial.reward=value adversarial.length_rule=none update.mini_batches=2 model.path=$SYSTEM_WORK/llama"
    the_same "$lora rollout.think_tokens=6 adversarial.reward=log_probability update.rule=gxpo model.precision=bf16"
    the_same "$lora adversarial.d_step=own update.mini_batches=2 parallel.tokens_per_pass=60"
    the_same "adversarial.d_step=own update.rule=gxpo objective.kl_coef=0 adversarial.reward=value"
    the_same "adversarial.d_scale=10 adversarial.d_scale_in=reward update.rule=sfpo objective.advantage=group objective.kl_coef=0"
    the_same "$lora $reasons parallel.tokens_per_pass=70 adversarial.grad_norms=false"
    the_same "$reasons adversarial.reward=value adversarial.length_rule=none update.mini_batches=2 rollout.think_tokens=4 objective.kl_coef=0 model.path=$SYSTEM_WORK/qwen3"
    the_same "$lora $reasons objective.aggregation=constant adversarial.d_step=own model.precision=bf16"
    run 1 one "$lora $reasons"
    run 1 few "$lora $reasons" rollout.answers_in_flight=2
    same_whole one few
    ;;
restart)
    goes_on 1 3 "$lora"
    goes_on 2 1 "$lora" parallel.shard=true adversarial.reward=value
    goes_on 1 2 adversarial.pooling=mean
    goes_on 3 1 "$lora" parallel.shard=true adversarial.d_step=own
    goes_on 1 2 adversarial.d_step=own update.rule=sfpo
    # Moments of a step of its own are in the checkpoint, and a run goes on with the choice that it began with.
    run 1 own "$lora adversarial.d_step=own run.steps=3"
    job 1 inspect own/checkpoints/step-000003.h5 || fail "inspect: $(cat err)"
    says out "discriminator/optimizer/exp_avg "
    says out "discriminator/optimizer/exp_avg_sq "
    says out "state/discriminator/optimizer_steps 3"
    refused_own() {
        job 1 train game.cfg run.directory="$work/$1" run.steps=5 lora.rank=4 lora.alpha=8 lora.rank_stabilized=true "$2"
        [ $? = 2 ] || fail "$2 is not refused in $1"
        says err "adversarial.d_step"
        [ "$(grep -c . err)" = 1 ] || fail "more than a sentence: $(cat err)"
    }
    refused_own own adversarial.d_step=shared
    run 1 shared "$lora run.steps=3"
    refused_own shared adversarial.d_step=own
    goes_on 1 3 "$lora $reasons"
    goes_on 2 1 "$reasons" parallel.shard=true adversarial.reward=value
    ;;
numbers)
    run 1 run "$lora run.device=check adversarial.length_rule=none adversarial.d_scale=3 objective.kl_coef=0 checkpoint.every=0"
    run 1 cpu "$lora adversarial.length_rule=none adversarial.d_scale=3 objective.kl_coef=0 checkpoint.every=0"
    same_numbers run cpu
    "$SYSTEM_TOOL" finite run/diagnostics.h5 reward_penalised kl rewards/ time/diagnosis time/mauve completions/forced_ratio gate/ gxpo/ sfpo/ distill/ mauve/ \
        adversarial/value adversarial/value_error adversarial/success adversarial/reason_loss adversarial/reason_entropy \
        adversarial/reason_length adversarial/reason_forced update/fallback || fail "a metric is not finite"
    for step in 1 2 3; do
        game_numbers $step
        # Of three sequences the first is real: 18 tokens of the window, which are bytes, and its last 12; then what was written.
        awk -v step=$step 'FILENAME == "answer.rows" { answer[FNR - 1] = $0; next }
            FILENAME == "ended" { if ($1 == 0) sub(/ [0-9]+$/, "", answer[FNR - 1]); next }
            FILENAME == "sequences" { of[FNR] = $2; real[FNR] = $1; next }
            {
                n = split($0, ids, " "); tail = ""
                for (i = 19; i <= n; i++) tail = tail (i > 19 ? " " : "") ids[i]
                head = ""
                for (i = 1; i <= 18; i++) head = head ids[i] " "
                if (FNR % 3 == 1) { before = head; if (of[FNR] != -1 || real[FNR] != 1 || n != 30) print "step " step " row " FNR " is not real" }
                else if (of[FNR] != (FNR - 1 - (FNR - 1) % 3) / 3 * 2 + (FNR - 1) % 3 - 1 || tail != answer[of[FNR]] && answer[of[FNR]] ~ / / || head != before)
                    print "step " step " row " FNR ": " head "|" tail " for answer " of[FNR] ": " answer[of[FNR]]
            }' answer.rows ended sequences read.rows >wrong
        [ ! -s wrong ] || fail "$(cat wrong)"
    done
    near adversarial/baseline 1 "$(of reward 1)"
    near adversarial/baseline 2 "$(of reward 1)"
    near adversarial/baseline 3 "0.9 * $(of reward 1) + 0.1 * $(of reward 2)"
    holds "$(of mismatch/logprob_max 1) == 0" "sampler and trainer"
    # A step of its own: both are counted, and where nothing moves its loss is that of the logits, so the loss is the same sum.
    run 1 own "$lora adversarial.length_rule=none adversarial.d_scale=3 objective.kl_coef=0 adversarial.d_step=own"
    holds "$(value own /step/update/optimizer_steps 2) == 6 && $(value own /step/update/backward_passes 2) == 6" "steps of a run with two each"
    holds "$(value own /step/adversarial/grad_norm_generator 0) == $(value own /step/grad_norm 0)" "the rule's gradient is the generator's"
    holds "$(value own /step/adversarial/grad_norm_discriminator 0) > 0" "the norm of the discriminator's gradient"
    holds "($(value own /step/loss 0) - $(value own /step/policy_loss 0) - 3 * $(value own /step/adversarial/d_loss 0)) ^ 2 < 1e-18" "the sum of both losses"
    says err "adversarial.d_scale = 3 is hardly seen beside adversarial.d_step"
    rm -rf run
    run 1 run "$lora adversarial.length_rule=none adversarial.d_scale=3 objective.kl_coef=0 adversarial.d_step=own run.steps=1 optimizer.learning_rate=0"
    file=run/rollouts/step-000001.h5
    game_numbers 1
    rm -rf run
    # Without weight the discriminator adds nothing, and its gradient is nothing but the generator's; without either norm as well.
    rm -rf run
    run 1 run "$lora adversarial.d_scale=0 run.steps=1"
    near adversarial/grad_norm_discriminator 1 0
    near adversarial/grad_norm_generator 1 "$(of grad_norm 1)"
    holds "$(of grad_norm 1) > 0" "the gradient of the generator"
    run 1 bare "$lora adversarial.d_scale=0 run.steps=1 adversarial.grad_norms=false"
    holds "($(of grad_norm 1) - $(value bare /step/grad_norm 0)) ^ 2 < 1e-12 * $(of grad_norm 1) ^ 2" "one sum, or two"
    rm -rf run bare
    # The value head learns how often the discriminator is right: its squared error is in the loss, and 1 - value the reward.
    run 1 run "$lora adversarial.length_rule=none adversarial.reward=value adversarial.d_scale=3 objective.kl_coef=0 run.steps=2"
    judged 2 >sequences
    column 18 "$file" /discriminator/value | paste -d ' ' sequences - >valued
    near loss 2 "$(of policy_loss 2) + 3 * $(of adversarial/d_loss 2) + 3 * $(awk '{ s += ($5 - (($4 > $3) == $1)) ^ 2 } END { printf "%.17g", s / NR }' valued)"
    column 12 "$file" /answer/reward >rewards
    awk '$2 >= 0 { printf "%.17g\n", ($5 > 0.125 ? 1 - $5 : 0) }' valued | paste -d ' ' rewards - | awk '($1 - $2) ^ 2 > 1e-24 { exit 1 }' ||
        fail "rewards do not follow the values: $(cat valued rewards)"
    rm -rf run
    # A completion of the wrong length earns nothing, and the loss of the discriminator is counted once where the reward is scaled.
    run 1 run "$lora adversarial.d_scale=4 adversarial.d_scale_in=reward objective.kl_coef=0 rollout.max_new_tokens=14 run.steps=1"
    near loss 1 "$(of policy_loss 1) + $(of adversarial/d_loss 1)"
    judged 1 >sequences
    "$SYSTEM_TOOL" rows "$file" /discriminator/token_ids /discriminator/offsets | awk '{ print NF - 18 }' >lengths
    column 12 "$file" /answer/reward >rewards
    paste -d ' ' sequences lengths | awk '$2 >= 0 { printf "%.17g\n", $5 == 12 ? 4 / (1 + exp($3 - $4)) : 0 }' | paste -d ' ' rewards - |
        awk '($1 - $2) ^ 2 > 1e-24 { exit 1 }' || fail "rewards do not follow the length: $(paste -d ' ' sequences lengths)"
    near adversarial/length_right 1 "$(paste -d ' ' sequences lengths | awk '$2 >= 0 { n++; s += $5 == 12 } END { printf "%.17g", s / n }')"
    ;;
reasoning)
    # Many enough that some close themselves, by the tag or by a stop id, in a model that has the tag as a token.
    job 1 init --arch qwen3 --layers 2 --width 32 --heads 4 --kv-heads 2 --mlp 64 --max-positions 1024 --seed 4 --output "$work/long" || fail "init"
    long="model.path=$work/long model.added_tokens=[\"</think>\"] adversarial.reason_tokens=400 $question adversarial.d_scale=3 objective.kl_coef=0 run.steps=2"
    run 1 run "$long adversarial.length_rule=none adversarial.reward=value"
    for step in 1 2; do
        reasoned $step 259
        learned $step '/ (18 * $5)'
        holds "$(of adversarial/reason_forced $step) < 1 && $(of adversarial/reason_length $step) < 400" "none closes itself"
        column 12 "$file" /answer/reward >rewards
        awk '!$1 { printf "%.17g\n", ($3 > 0.125 ? 1 - $3 : 0) }' reasons | paste -d ' ' rewards - | awk '($1 - $2) ^ 2 > 1e-24 { exit 1 }' ||
            fail "rewards of step $step do not follow the values"
    done
    "$SYSTEM_TOOL" described run/rollouts/*.h5 run/diagnostics.h5 || fail "a dataset says nothing of itself"
    job 1 inspect --verify "$file" || fail "inspect: $(cat err)"
    says out "its reasoning: $(awk '{ s += $5; f += $7 } END { printf "%.4g tokens on average, %d of 18 closed by force", s / NR, f }' reasons)"
    rm -rf run
    # By another aggregation, and by two passes, of which the second one is elsewhere: what is known of the verdict stays.
    run 1 run "$lora $reasons adversarial.d_scale=3 objective.kl_coef=0 objective.aggregation=constant run.steps=1"
    reasoned 1 -1
    learned 1 '/ (18 * 7)'
    rm -rf run
    run 1 run "$lora $reasons adversarial.d_scale=3 objective.kl_coef=0 objective.aggregation=token_mean run.steps=1 update.iterations=2 optimizer.learning_rate=0.05"
    reasoned 1 -1
    near adversarial/success 1 "$(awk '{ s += $2 } END { printf "%.17g", s / NR }' reasons)"
    rm -rf run
    # What was given a weight of 0 learns nothing.
    run 1 run "$lora $reasons adversarial.d_scale=0 run.steps=1"
    near adversarial/grad_norm_discriminator 1 0
    rm -rf run
    run 1 first "$lora $reasons run.steps=2"
    job 1 traces first --output "$work/rows.jsonl" || fail "traces: $(cat err)"
    holds "$(wc -l <rows.jsonl) > 12" "answers are rows"
    ;;
trip)
    run 1 first "$lora run.steps=2 rollout.think_tokens=5"
    job 1 traces first --output "$work/rows.jsonl" || fail "traces: $(cat err)"
    holds "$(wc -l <rows.jsonl) == 24" "each answer is a row"
    job 2 train "$SYSTEM_WORK/input.cfg" run.method=sft run.directory="$work/sft" run.steps=2 update.iterations=1 rollout.prompts_per_step=4 \
        "data.train=({path=\"$work/rows.jsonl\";prompt=\"prompt\";answer=\"response\";})" lora.adapter="$work/first/adapter" ||
        fail "sft on traces: $(cat err)"
    run 2 second "lora.adapter=$work/sft/adapter rollout.think_tokens=5"
    says second/log.txt "method = adversarial"
    # The head stays behind where sft has none; from the first run's adapter it comes along.
    run 1 third "lora.adapter=$work/first/adapter run.steps=1"
    says third/log.txt "discriminator = $work/first/adapter/discriminator.safetensors"
    ;;
inputs)
    run 1 run "$lora adversarial.reward=value run.steps=1 rollout.think_tokens=5"
    for line in "group_size = 2;" "answer_tokens = 12;" "max_new_tokens = 33;" 'advantage = "ema";' "parts = ();"; do
        says run/settings.cfg "$line"
    done
    "$SYSTEM_TOOL" value run/rollouts/step-000001.h5 /discriminator/value 17 >out || fail "no values of the value head"
    job 1 inspect --verify run/rollouts/step-000001.h5 || fail "inspect: $(cat err)"
    says out "discriminator: real 6, told "
    job 1 plan game.cfg run.directory="$work/none" || fail "plan: $(cat err)"
    says out "verdicts of the discriminator"
    says out "of them trained, and the 130 of a discriminator" # C = 32: two of C, (2, C), 2
    # Its own settings give the same run.
    job 1 train run/settings.cfg run.directory="$work/again" || fail "settings.cfg: $(cat err)"
    same_whole run again
    run 1 parts "$lora run.steps=1 rollout.group_size=1 reward.parts=({name=\"length\";weight=2.0;})"
    holds "$("$SYSTEM_TOOL" value parts/rollouts/step-000001.h5 /answer/reward 0) > 0.99 * 2 * $("$SYSTEM_TOOL" value parts/rollouts/step-000001.h5 /answer/reward_length 0)" "parts are added"
    refused() {
        sentence=$1
        shift
        job 1 train game.cfg run.directory="$work/no" "$@"
        [ $? = 2 ] || fail "$* is not refused"
        says err "$sentence"
    }
    refused "continues windows of texts: give data.corpus" 'prompt.template={prompt}' 'data.corpus=()' "data.train=({path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"answer\";})"
    refused "rewards completions of adversarial.completion_tokens = 12 tokens, and rollout leaves at most 11" rollout.max_new_tokens=11
    refused "rollout.resample = 2 has no meaning" rollout.resample=2 objective.advantage=group
    refused "an advantage compares the answers of a group" rollout.group_size=1 objective.advantage=group
    refused "draws the same answer every time" rollout.temperature=0
    refused 'adversarial.pooling = "mean" has no meaning with adversarial.reason_tokens = 7' $reasons adversarial.pooling=mean
    refused "must hold {prefix} and then {completion}, each once" $reasons 'adversarial.judge_template={completion}{prefix}?'
    refused "must hold {prefix} and then {completion}, each once" $reasons 'adversarial.judge_template={prefix}?'
    refused "must hold {prefix} and then {completion}, each once" $reasons 'adversarial.judge_template={prefix}{completion}{completion}?'
    refused "ends with {completion}: ask something behind it" $reasons 'adversarial.judge_template={prefix} {completion}'
    refused "does not hold the closing tag </think> of reward.think_tag" $reasons rollout.think_close=so
    refused "rollout.think_close holds token 256, at which" $reasons 'rollout.think_close=</think><|endoftext|>'
    refused "the model takes 128 (max_position_embeddings): lower adversarial.reason_tokens" adversarial.reason_tokens=7
    job 1 plan game.cfg run.directory="$work/none" $reasons || fail "plan: $(cat err)"
    says out "reasoning of the discriminator"
    says out "of them trained, and the 163 of a discriminator" # and a value head of C + 1
    ;;
esac
finish
