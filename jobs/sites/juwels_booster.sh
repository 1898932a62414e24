# shellcheck shell=bash disable=SC2034
# JUWELS Booster (JSC): 4 A100, two EPYC with 24 cores each, 4 InfiniBand interfaces. See jobs/site.sh.
#
# Tried: no. Read against the scripts of other codes for this machine and what its centre publishes, November 2026.

site_name="JUWELS Booster"
site_account=myproject       # yours
site_options="--partition=booster"
site_ranks_per_node=4
site_cores_per_rank=12
site_gpus_per_node=4
site_gpu_options="--gres=gpu:%d"
site_gpu_order=ascending     # psslurm gives rank i the cores that are near GPU i
site_interface=ib0
site_scratch=${SCRATCH:-}
site_local=                  # nodes have no disk of their own: /tmp is memory

site_setup() {
    module load Stages GCC OpenMPI CUDA HDF5 CMake
    export UCX_MEMTYPE_CACHE=n
    export PKG_CONFIG_PATH=$HOME/gradus-libs/lib/pkgconfig:${PKG_CONFIG_PATH:-}       # of jobs/deps.sh
    export LD_LIBRARY_PATH=$HOME/gradus-libs/lib:${LD_LIBRARY_PATH:-}
}

site_launch() {
    local ranks=$1 per_node=$2 cores=$3
    shift 3
    # psslurm, in the place of slurmd, has a PMIx of its own, and binds ranks to cores better than an option would
    exec srun --mpi=pspmix --ntasks="$ranks" --ntasks-per-node="$per_node" --cpus-per-task="$cores" "$@"
}
