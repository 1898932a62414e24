# shellcheck shell=bash disable=SC2034
# Polaris (ALCF), under PBS: 4 A100, one EPYC with 32 cores (64 threads), Slingshot. See jobs/site.sh; jobs are those of jobs/pbs.
#
# Tried: no. Read against the scripts of other codes for this machine and what its centre publishes, November 2026.

site_name="Polaris"
site_account=myproject       # yours
# preemptable: 1 to 10 nodes, 72 h, may be ended without warning, and goes on; capacity: 1 to 4 nodes, 7 days, one job at a time;
# prod: 10 nodes and more
site_options="-q preemptable -l filesystems=home:eagle -l place=scatter"
site_ranks_per_node=4
site_cores_per_rank=8
site_gpus_per_node=4
site_gpu_options=            # of SLURM
site_gpu_order=descending    # GPU 3 is nearest to cores 0 to 7
site_interface=hsn0,hsn1
site_scratch=/eagle/$site_account/${USER:-}
site_local=/local/scratch

site_setup() {
    module use /soft/modulefiles
    module load PrgEnv-gnu cudatoolkit-standalone cray-hdf5 spack-pe-base cmake
    # Slingshot: without these NCCL can hang in libfabric; LL128 over GPUDirect was seen to damage data there (NCCL issue 2001)
    export FI_CXI_DISABLE_HOST_REGISTER=1 FI_MR_CACHE_MONITOR=userfaultfd FI_CXI_DEFAULT_CQ_SIZE=131072
    export NCCL_CROSS_NIC=1 NCCL_NET_GDR_LEVEL=PHB NCCL_PROTO=^LL128
    export NCCL_NET="AWS Libfabric"
    export LD_LIBRARY_PATH=/soft/libraries/aws-ofi-nccl/v1.9.1-aws/lib:/soft/libraries/hwloc/lib:${LD_LIBRARY_PATH:-}
    export PKG_CONFIG_PATH=$HOME/gradus-libs/lib/pkgconfig:${PKG_CONFIG_PATH:-}       # of jobs/deps.sh
    export LD_LIBRARY_PATH=$HOME/gradus-libs/lib:${LD_LIBRARY_PATH:-}
}

site_launch() {
    local ranks=$1 per_node=$2 cores=$3
    shift 3
    exec mpiexec --np "$ranks" --ppn "$per_node" --depth "$cores" --cpu-bind depth "$@"
}
