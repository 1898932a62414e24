# shellcheck shell=bash disable=SC2034
# Perlmutter (NERSC), GPU nodes: 4 A100, one EPYC with 64 cores (128 threads), 4 Slingshot interfaces. See jobs/site.sh.
#
# Tried: no. Read against the scripts of other codes for this machine and what its centre publishes, November 2026.

site_name="Perlmutter"
site_account=m0000_g         # yours, with _g for GPU nodes
site_options="--constraint=gpu --qos=regular"
site_ranks_per_node=4
site_cores_per_rank=32       # threads: two of each of 16 cores
site_gpus_per_node=4
site_gpu_options="--gpus-per-node=%d --gpu-bind=none"
site_gpu_order=descending    # GPU 3 is nearest to cores 0 to 15
site_interface=hsn
site_scratch=${SCRATCH:-}
site_local=/tmp              # is memory: a model there takes as much of the 256 GB

site_setup() {
    module load PrgEnv-gnu gpu cudatoolkit craype-accel-nvidia80 cray-hdf5 cmake nccl
    export MPICH_OFI_NIC_POLICY=GPU SLURM_CPU_BIND=cores
    # Slingshot: without these NCCL can hang in libfabric; LL128 over GPUDirect was seen to damage data there (NCCL issue 2001)
    export FI_CXI_DISABLE_HOST_REGISTER=1 FI_MR_CACHE_MONITOR=userfaultfd FI_CXI_DEFAULT_CQ_SIZE=131072
    export NCCL_CROSS_NIC=1 NCCL_NET_GDR_LEVEL=PHB NCCL_PROTO=^LL128
    export PKG_CONFIG_PATH=$HOME/gradus-libs/lib/pkgconfig:${PKG_CONFIG_PATH:-}       # of jobs/deps.sh
    export LD_LIBRARY_PATH=$HOME/gradus-libs/lib:${LD_LIBRARY_PATH:-}
}

site_launch() {
    local ranks=$1 per_node=$2 cores=$3
    shift 3
    exec srun --ntasks="$ranks" --ntasks-per-node="$per_node" --cpus-per-task="$cores" --cpu-bind=cores "$@"
}
