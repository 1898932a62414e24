#!/bin/bash
# evaluate.sh INPUT.cfg [--checkpoint FILE] [group.name=value ...]: benchmarks of a model, those of eval.sets (`gradus
# eval`), into eval.h5 of run.directory; the same job again goes on after what was drawn.
# evaluate.sh INPUT.cfg PROMPTS.jsonl ANSWERS.jsonl [group.name=value ...]: answers of a model to a file of prompts,
# with rewards where a line has a reference (`gradus generate`). The model of a run is model.path=RUN/model;
# rollout.temperature=0 takes the most probable answers, rollout.group_size is their number.
#
# Needs: what drawing the answers of a training step needs, and no optimizer state.
# Costs: the answer tokens of all prompts by the rate that the log of a training run tells as rollout/tokens_per_s.
#
# Submit: jobs/submit.sh jobs/pbs/evaluate.sh INPUT.cfg PROMPTS.jsonl ANSWERS.jsonl ... adds what jobs/site.sh says;
#         without it the lines below hold.
#
#GRADUS size=node
#PBS -N evaluate
#PBS -l select=1:ncpus=16:mpiprocs=4
#PBS -l walltime=02:00:00
#PBS -j oe
#PBS -r y
cd "${PBS_O_WORKDIR:-$PWD}"
export GRADUS_ROOT=${GRADUS_ROOT:-$PWD}
. "$GRADUS_ROOT/jobs/job.sh" pbs
GRADUS_ARGUMENTS=${GRADUS_ARGUMENTS:-}
[ $# -gt 0 ] || read -r -a arguments <<<"${GRADUS_ARGUMENTS//::/ }"
set -- "$@" ${arguments[@]+"${arguments[@]}"}

job_begin node "$@"
job_evaluate "$@"
