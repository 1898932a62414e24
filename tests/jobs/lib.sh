# shellcheck shell=sh
# lib.sh: what the tests of jobs/ share beside system/lib.sh, which it reads.
system=$(cd "$(dirname "$0")/../system" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$system/lib.sh"
here=$system

# This cluster: the plain one, with two ranks of a core each.
cat >"$work/site.sh" <<END
. "$root/jobs/site.sh"
site_name="the test's cluster"
site_ranks_per_node=2
site_cores_per_rank=1
END
export GRADUS_SITE="$work/site.sh" GRADUS_PROGRAM="$GRADUS"
unset SLURM_JOB_END_TIME GRADUS_JOB_END_TIME PBS_WALLTIME PBS_NODEFILE

# field RUN NAME: of its status.json.
field() {
    sed -n "s/.*[{ ]\"$2\": \"\{0,1\}\([^\",}]*\).*/\1/p" "$1/status.json" 2>/dev/null
}

# until_true SECONDS COMMAND...: waits for it.
until_true() {
    seconds=$1
    shift
    for _ in $(seq $((seconds * 10))); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    return 1
}

# steps_done RUN N: its log has step N.
steps_done() {
    [ "$(cat "$1/metrics.jsonl" 2>/dev/null | wc -l)" -ge "$2" ]
}
