#!/bin/sh
# pbs.sh: jobs/pbs without PBS. First as OpenPBS runs a script, with a list of nodes and no arguments, beside a qstat and a qsub that
# note what they are asked: a job that is stopped in time submits the next, which finishes the run; one that makes no progress, or whose
# launcher starts nothing, submits none. Then, where Debian's slurm-wlm-torque is, through its qsub on a SLURM that the test starts.
. "$(dirname "$0")/lib.sh"
. "$root/tests/jobs/cluster.sh"
input=$SYSTEM_WORK/input.cfg

# The launcher of the suite in the place of mpiexec; it makes 1 of every other exit status, as launchers do.
cat >>"$work/site.sh" <<END
site_launch() {
    local ranks=\$1
    shift 3
    [ -z "\${PBS_TEST_DEAD:-}" ] || exit 0
    exec sh -c '"\$@" || exit 1' launcher $SYSTEM_LAUNCH "\$ranks" "\$@"
}
END

mkdir bin
cat >bin/qstat <<'END'
#!/bin/sh
[ "$1" = -f ] && printf 'Job Id: %s\n    Job_Name = train\n    Resource_List.walltime = %s\n' "$2" "$PBS_TEST_WALLTIME"
END
cat >bin/qsub <<'END'
#!/bin/sh
printf '%s\n' "$@" >>submitted
echo 2.server
END
chmod +x bin/qstat bin/qsub

# pbs WALLTIME TEMPLATE ARGUMENT...: runs the script as a job; its output goes to ./job.log; $code is its exit status.
pbs() {
    rm -f submitted
    printf '%s\n%s\n' "$(hostname)" "$(hostname)" >nodes
    template=$2
    walltime=$1
    shift 2
    (cd / && PATH=$work/bin:$PATH PBS_TEST_WALLTIME=$walltime PBS_JOBID=1.server PBS_O_WORKDIR=$work PBS_NODEFILE=$work/nodes \
        PBS_ENVIRONMENT=PBS_BATCH GRADUS_ROOT=$root GRADUS_TEMPLATE=$template GRADUS_SUBMIT_NODES=1 GRADUS_SUBMIT_RANKS=2 GRADUS_CHAIN=1 \
        GRADUS_ARGUMENTS="$(printf '::%s' "$@" | sed s/^:://)" bash "$template") >job.log 2>&1
    code=$?
}

says() {
    grep -q "$1" job.log || fail "the job does not say '$1': $(grep -v 'step =' job.log | tail -n 20)"
}

# Its time is short, as qstat tells: it stops, and submits the next.
pbs 00:00:20 "$root/jobs/pbs/train_node.sh" "$input" run.directory="$work/run" run.steps=5000 run.wall_margin_s=4 checkpoint.every_s=0
[ $code = 85 ] || fail "a job that is short of time ends with $code: $(tail -n 5 job.log)"
says "^job: 1.server, attempt 1, .*Z, on the test's cluster: 1 nodes, 2 ranks, 1 cores each"
says "source = GRADUS_JOB_END_TIME, margin_s = 4"
says "asked by the end of the job"
stood=$(field run checkpoint_step)
[ "$stood" -gt 0 ] || fail "there is no checkpoint"
grep -qx "select=1:ncpus=2:mpiprocs=2" submitted && grep -q "GRADUS_ATTEMPT=2.*,GRADUS_ARGUMENTS=$input::run.directory=" submitted &&
    tail -n 1 submitted | grep -qx "$root/jobs/pbs/train_node.sh" || fail "what it submits is $(cat submitted 2>&1)"

# The next one goes on and finishes; the bits of continuing are slurm.sh's.
pbs 01:00:00 "$root/jobs/pbs/train_node.sh" "$input" run.directory="$work/run" run.steps=$((stood + 3))
[ $code = 0 ] || fail "the second job ends with $code: $(tail -n 5 job.log)"
says "^job: exit status 0, .*, of step $stood before"
says "^job: finished: $work/run"
[ ! -e submitted ] || fail "a finished run is submitted again"
[ "$(field run step)" = $((stood + 3)) ] || fail "the second job ends at step $(field run step)"

# No progress, no next job; nor one for an input that is wrong.
pbs 00:00:06 "$root/jobs/pbs/train_gpu.sh" "$input" run.directory="$work/slow" rollout.group_size=6000 run.wall_margin_s=4
[ $code = 85 ] && [ ! -e submitted ] || fail "a job without progress ends with $code: $(tail -n 5 job.log; cat submitted 2>/dev/null)"
says "made no checkpoint further than the one before"
pbs 01:00:00 "$root/jobs/pbs/train_node.sh" "$input" run.directory="$work/wrong" rollout.group_size=many
[ $code != 0 ] && [ ! -e submitted ] || fail "a wrong input ends with $code: $(tail -n 5 job.log)"

# Launchers have been seen to end with 0 when no rank began: the run is not finished, and not tried for ever.
for run in none run; do
    PBS_TEST_DEAD=1 pbs 01:00:00 "$root/jobs/pbs/train_node.sh" "$input" run.directory="$work/$run" run.steps=$((stood + 5))
    [ $code = 75 ] && [ ! -e submitted ] || fail "a launcher that starts nothing, $run: the job ends with $code: $(tail -n 5 job.log)"
    says "the launcher ended with 0, but no rank has begun"
    says "made no checkpoint further than the one before"
done

# An array; and answers.
printf 'objective.gate=clip\nobjective.gate=erf\n' >table
export PBS_ARRAY_INDEX=1
pbs 01:00:00 "$root/jobs/pbs/sweep.sh" "$input" "$work/table" run.directory="$work/sweep" run.steps=1
unset PBS_ARRAY_INDEX
grep -q 'gate = "erf"' sweep/run-1/settings.cfg || fail "the array does not follow its table: $(tail -n 5 job.log)"
printf '{"question": "1+2=", "answer": "1"}\n' >prompts.jsonl
pbs 01:00:00 "$root/jobs/pbs/evaluate.sh" "$input" "$work/prompts.jsonl" "$work/answers.jsonl" rollout.group_size=2
grep -q '"completions"' answers.jsonl || fail "evaluate.sh gives no answers: $(tail -n 5 job.log)"
pbs 01:00:00 "$root/jobs/pbs/evaluate.sh" "$input" run.directory="$work/bench" eval.samples=2 \
    "eval.sets=({name=\"sums\";path=\"$SYSTEM_WORK/sums.jsonl\";prompt=\"question\";answer=\"answer\";limit=3;})"
[ -f bench/eval.h5 ] || fail "evaluate.sh without prompts evaluates no benchmark: $(tail -n 5 job.log)"

# SLURM's imitation of qsub, which keeps only the last -l of a command line.
if cluster_missing >missing || ! command -v qsub >/dev/null 2>&1; then
    [ -s missing ] || echo "there is no qsub (Debian: slurm-wlm-torque): not tried with it"
    cat missing
    finish
fi
cluster_up "$work.tmp/slurm" 4 || {
    fail "SLURM does not start"
    cluster_down
    finish
}
cat >>"$work/site.sh" <<'END'
site_launch() {
    local ranks=$1
    shift 3
    exec srun --mpi=pmix --ntasks="$ranks" "$@"
}
END
bash "$root/jobs/submit.sh" "$root/jobs/pbs/train_node.sh" "$input" run.directory="$work/torque" >said 2>&1 ||
    fail "qsub: $(cat said)"
finished() {
    [ "$(field torque state)" = finished ] && [ -z "$(squeue -h)" ]
}
until_true 60 finished || fail "the job of qsub does not finish: $(cat said ./*.o* 2>/dev/null | tail -n 20)"
cat ./*.o* 2>/dev/null | grep -q "^job: finished: $work/torque" || fail "the job of qsub does not say that it has finished"
cluster_down
finish
