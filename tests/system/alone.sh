#!/bin/sh
# alone.sh: whatever fails on one rank of two, the job ends in seconds, not zero, with one sentence. In a short run the n-th
# request for memory or change of a file fails (fault.c), for n in strides; GRADUS_FAULT_STRIDE=1 goes through all of them.
. "$(dirname "$0")/lib.sh"
stride=${GRADUS_FAULT_STRIDE:-97}

# short FAULT_AT: the run, where the FAULT_AT-th request fails; $have is its exit status. The launcher ends a job that hangs.
short() {
    rm -rf run
    export FAULT_AT="$1"
    (
        export FAULT_LIBRARY="$SYSTEM_FAULT" FAULT_COUNT="$work/count" MPIEXEC_TIMEOUT=60
        job 2 train "$SYSTEM_WORK/input.cfg" run.directory="$work/run" run.steps=1 rollout.prompts_per_step=2 \
            rollout.group_size=2 rollout.max_new_tokens=4 rollout.resample=1 objective.kl_coef=0.1 objective.kl_in=reward \
            checkpoint.every=1
    )
    have=$?
}

# judge: what a failed request must lead to.
judge() {
    where="$FAULT_KIND request $FAULT_AT of rank $FAULT_RANK"
    sentences=$(grep -c '^gradus: error: ' err)
    case $have in
    0) # some can do without, as the log without a line: then nothing else may be missing
        [ "$sentences" = 0 ] && grep -q '"state": "finished"' run/status.json || fail "$where: exit status 0: $(cat err)"
        same_numbers run clean
        same_rollouts run clean ;;
    *) [ "$sentences" = 1 ] || fail "$where: $sentences sentences, exit status $have: $(cat err launcher)" ;;
    esac
    ! grep -qi "timeout" launcher || fail "$where: the job hangs"
    ! grep -q "defect\|Sanitizer" err || fail "$where: $(cat err)"
}

# each KIND RANK: all of its requests, in strides.
each() {
    FAULT_KIND=$1 FAULT_RANK=$2
    export FAULT_KIND FAULT_RANK
    short 0
    [ $have = 0 ] || fail "the run without a fault: exit status $have: $(cat err)"
    count=$(cat count)
    rm -rf clean
    mv run clean
    at=1
    while [ "$at" -le "$count" ]; do
        short "$at"
        judge
        at=$((at + stride))
    done
}

each memory 0
each memory 1
each file 0
finish
