# shellcheck shell=sh
# cluster.sh: a SLURM of one node on the loopback address, for tests; sourced. Daemons, keys and state are in one folder, and end
# with the test. It serves root and others alike.
#
# A job that starts itself again waits until its credential has expired, here 5 s.
#
#   cluster_up FOLDER CPUS     needs slurmctld, slurmd, munged (Debian: slurm-wlm munge); exports SLURM_CONF
#   cluster_down

cluster_missing() {
    for program in slurmctld slurmd munged sbatch srun scontrol; do
        PATH=$PATH:/usr/sbin:/sbin command -v $program >/dev/null 2>&1 || {
            echo "skipped: there is no $program (Debian: slurm-wlm munge)"
            return 0
        }
    done
    false
}

cluster_up() {
    cluster=$1
    host=$(hostname -s)
    port=$((20000 + $$ % 20000))
    mkdir -p "$cluster/run" "$cluster/state" "$cluster/spool" "$cluster/log"
    PATH=$PATH:/usr/sbin:/sbin
    chmod 755 "$cluster" "$cluster/run"
    chmod 700 "$cluster/log"
    (umask 077 && head -c 128 /dev/urandom >"$cluster/munge.key")
    munged --force --key-file="$cluster/munge.key" --socket="$cluster/run/munge.sock" --pid-file="$cluster/run/munged.pid" \
        --log-file="$cluster/log/munged.log" --seed-file="$cluster/run/munge.seed" --num-threads=2 || return 1
    plugins=
    [ ! -e "$(dirname "$(command -v sbatch)")/qsub" ] || plugins="JobSubmitPlugins=pbs"
    cat >"$cluster/slurm.conf" <<END
ClusterName=test$port
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$cluster/run/munge.sock,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool
SlurmctldPidFile=$cluster/run/slurmctld.pid
SlurmdPidFile=$cluster/run/slurmd.pid
SlurmctldLogFile=$cluster/log/slurmctld.log
SlurmdLogFile=$cluster/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=pmix
ReturnToService=2
KillWait=10
JobRequeue=1
MailProg=/bin/true
SlurmdParameters=config_overrides
$plugins
NodeName=$host NodeAddr=127.0.0.1 CPUs=$2 State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
END
    # Folders of steps that were killed stay behind, and a step of the same number finds them in its way.
    mkdir -p "$cluster/pmix"
    echo "PMIxCliTmpDirBase=$cluster/pmix" >"$cluster/mpi.conf"
    export SLURM_CONF="$cluster/slurm.conf"
    slurmctld -i && slurmd || return 1
    for _ in $(seq 100); do
        [ "$(sinfo -h -o %T 2>/dev/null)" != idle ] || return 0
        sleep 0.1
    done
    tail -n 5 "$cluster"/log/slurmctld.log "$cluster"/log/slurmd.log
    return 1
}

# Before its folder goes: without a slurm.conf these commands ask the network for one.
cluster_down() {
    [ -f "$cluster/slurm.conf" ] || return 0
    scancel --user="$(id -un)" 2>/dev/null
    for _ in $(seq 50); do
        [ -n "$(squeue -h 2>/dev/null)" ] || break
        sleep 0.1
    done
    for daemon in slurmd slurmctld munged; do
        [ ! -f "$cluster/run/$daemon.pid" ] || kill "$(cat "$cluster/run/$daemon.pid")" 2>/dev/null
    done
    for _ in $(seq 50); do
        [ -e "$cluster/run/slurmctld.pid" ] || [ -e "$cluster/run/slurmd.pid" ] || break
        sleep 0.1
    done
    rm -f "$cluster/slurm.conf"
}
