#!/bin/bash
# gpu.sh COMMAND...: what the launcher starts for each rank where a node has GPUs: gives the rank one of them, by its place among
# the ranks of the node, and becomes COMMAND. A launcher that gave it one already is obeyed.
#
#   GRADUS_GPU_ORDER   ascending, or descending where the last GPU is nearest to the first cores
#   GRADUS_GPUS        of a node, where CUDA_VISIBLE_DEVICES does not list them
set -eu
place=${SLURM_LOCALID:-${OMPI_COMM_WORLD_LOCAL_RANK:-${PALS_LOCAL_RANKID:-${MPI_LOCALRANKID:-${PMI_LOCAL_RANK:-}}}}}
if [ -z "${CUDA_VISIBLE_DEVICES:-}" ]; then
    mapfile -t list < <(seq 0 $((${GRADUS_GPUS:-1} - 1)))
else
    IFS=, read -r -a list <<<"$CUDA_VISIBLE_DEVICES"
fi
if [ "${#list[@]}" -gt 1 ] || [ -z "${CUDA_VISIBLE_DEVICES:-}" ]; then
    [ -n "$place" ] || {
        echo "gpu.sh: the launcher does not tell a rank its place on the node: SLURM_LOCALID and its like are not set" >&2
        exit 2
    }
    [ "$place" -lt "${#list[@]}" ] || {
        echo "gpu.sh: rank $place of $(hostname) has no GPU of its own: there are ${#list[@]}; start at most so many ranks on a node" >&2
        exit 2
    }
    [ "${GRADUS_GPU_ORDER:-ascending}" = ascending ] || place=$((${#list[@]} - 1 - place))
    export CUDA_VISIBLE_DEVICES=${list[$place]}
fi
exec "$@"
