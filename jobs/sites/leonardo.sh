# shellcheck shell=bash disable=SC2034
# Leonardo (CINECA), Booster partition: 4 A100 (64 GB), one Xeon with 32 cores. See jobs/site.sh.
#
# Tried: no. Read against the scripts of other codes for this machine and what its centre publishes, November 2026.

site_name="Leonardo"
site_account=myproject       # yours
site_options="--partition=boost_usr_prod --qos=normal"    # at most 64 nodes and 24 h; beyond that boost_qos_bprod
site_ranks_per_node=4
site_cores_per_rank=8
site_gpus_per_node=4
site_gpu_options="--gres=gpu:%d"
site_gpu_order=ascending
site_interface=ib0
site_scratch=${SCRATCH:-}
site_local=                  # nodes have no disk of their own: /tmp is 10 GB of memory

site_setup() {
    module load gcc openmpi cuda hdf5 cmake
    export PKG_CONFIG_PATH=$HOME/gradus-libs/lib/pkgconfig:${PKG_CONFIG_PATH:-}       # of jobs/deps.sh
    export LD_LIBRARY_PATH=$HOME/gradus-libs/lib:${LD_LIBRARY_PATH:-}
}

site_launch() {
    local ranks=$1 per_node=$2 cores=$3
    shift 3
    exec srun --mpi=pmix --ntasks="$ranks" --ntasks-per-node="$per_node" --cpus-per-task="$cores" --cpu-bind=cores "$@"
}
