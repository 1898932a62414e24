# shellcheck shell=bash disable=SC2034
# site.sh: this cluster; the one file to edit. submit.sh and every job read it. As it is here it fits a plain SLURM cluster
# without GPUs; jobs/sites has others: cp jobs/sites/perlmutter.sh jobs/site.sh, then write your account into it.
#
# Tried: yes, on SLURM 22.05 and Open MPI 4.1 of Debian 12, one node, CPU ranks: tests/jobs/slurm.sh runs jobs through it.

site_name="plain SLURM cluster"
site_account=                # what is charged; empty where the batch system does not ask
site_options=                # more options of sbatch or qsub, for every job: --partition=..., --qos=...
site_ranks_per_node=4        # one for each GPU; without GPUs, as many as share the cores well
site_cores_per_rank=4
site_gpus_per_node=0         # 0: the ranks compute on the CPU
site_gpu_options=            # how SLURM is asked for GPUs, %d of a node: --gpus-per-node=%d, --gres=gpu:%d
site_gpu_order=ascending     # which GPU is near the first cores of a node: ascending, descending; see gpu.sh
site_interface=              # networks between nodes, for NCCL_SOCKET_IFNAME; empty: NCCL chooses
site_scratch=                # folder on the parallel file system for runs, as submit.sh --scratch takes it
site_local=                  # folder on a node's own disk, for copies of models: job_stage

# Before a build and in each job: modules, paths.
site_setup() {
    : module load gcc openmpi hdf5
}

# site_launch RANKS RANKS_PER_NODE CORES_PER_RANK COMMAND...: starts the ranks, each on cores of its own. It must exec, so that
# a signal reaches the launcher. srun --mpi=list tells what it knows; Open MPI needs pmix, MPICH pmi2 or pmix.
site_launch() {
    local ranks=$1 per_node=$2 cores=$3
    shift 3
    exec srun --mpi=pmix --ntasks="$ranks" --ntasks-per-node="$per_node" --cpus-per-task="$cores" --cpu-bind=cores "$@"
}
