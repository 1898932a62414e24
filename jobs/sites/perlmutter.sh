# shellcheck shell=bash disable=SC2034
# Perlmutter (NERSC), GPU nodes: 4 A100, one EPYC with 64 cores (128 threads), 4 Slingshot interfaces. See jobs/site.sh.
#
# Tried: no. Written after the scripts of other codes for this machine, October 2026.

site_name="Perlmutter"
site_account=m0000_g         # yours, with _g for GPU nodes
site_options="--constraint=gpu --qos=regular"
site_ranks_per_node=4
site_cores_per_rank=32
site_gpus_per_node=4
site_gpu_options="--gpus-per-node=%d --gpu-bind=none"
site_gpu_order=descending    # GPU 3 is nearest to cores 0 to 15
site_interface=hsn
site_scratch=${SCRATCH:-}
site_local=/tmp

site_setup() {
    module load PrgEnv-gnu cudatoolkit craype-accel-nvidia80 cray-hdf5 cmake
    export MPICH_OFI_NIC_POLICY=GPU SLURM_CPU_BIND=cores
    export PKG_CONFIG_PATH=$HOME/gradus-libs/lib/pkgconfig:${PKG_CONFIG_PATH:-}       # of jobs/deps.sh
    export LD_LIBRARY_PATH=$HOME/gradus-libs/lib:${LD_LIBRARY_PATH:-}
}

site_launch() {
    local ranks=$1 per_node=$2 cores=$3
    shift 3
    exec srun --ntasks="$ranks" --ntasks-per-node="$per_node" --cpus-per-task="$cores" --cpu-bind=cores "$@"
}
