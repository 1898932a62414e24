#!/bin/sh
# handover.sh: what a run leaves is what the next one, export and inspect take.
. "$(dirname "$0")/lib.sh"
train 2 first checkpoint.every=1 checkpoint.keep=2
[ "$(ls first/checkpoints)" = "$(printf 'step-000002.h5\nstep-000003.h5')" ] || fail "not the newest 2 checkpoints: $(ls first/checkpoints)"

job 1 export first/checkpoints/step-000003.h5 --output exported || fail "export: $(cat err)"
for file in $(ls first/model | grep -v gradus_run.json); do
    cmp "first/model/$file" "exported/$file" || fail "export and run.directory/model differ in $file"
done
[ "$(ls first/model | grep -v gradus_run.json)" = "$(ls exported)" ] || fail "export and run.directory/model hold other files"
job 1 export first/checkpoints/step-000002.h5 --output earlier || fail "export: $(cat err)"
cmp -s earlier/model.safetensors exported/model.safetensors && fail "steps 2 and 3 have the same parameters"

train 1 next model.path="$work/first/model" run.steps=1
differ first/rollouts/step-000001.h5 next/rollouts/step-000001.h5 /provenance
train 1 from-export model.path="$work/exported" run.steps=1
same_rollouts next from-export

for file in first/diagnostics.h5 first/rollouts/*.h5 first/checkpoints/*.h5 first/model first/model/model.safetensors; do
    job 1 inspect --verify "$file" || fail "inspect --verify $file: $(cat err)"
    [ -s out ] || fail "inspect $file says nothing"
done

# settings.cfg gives the same run again.
job 1 train first/settings.cfg run.directory="$work/again" || fail "settings.cfg cannot be run: $(cat err)"
same_rollouts first again
same_numbers first again
same first/checkpoints/step-000003.h5 again/checkpoints/step-000003.h5 /provenance /manifest /settings

grep -q '"state": "finished", "step": 3' first/status.json || fail "status.json: $(cat first/status.json)"
[ "$(wc -l <first/metrics.jsonl)" = 3 ] || fail "metrics.jsonl has not one line a step"
[ "$(grep -c 'step = ' first/log.txt)" = 3 ] || fail "log.txt has not one line a step"
finish
