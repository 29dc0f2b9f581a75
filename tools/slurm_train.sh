#!/usr/bin/env bash
# Train under slurm.
#
#   bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of train.py]
#
# In front: GPUS (in all, default 8), GPUS_PER_NODE (8, at most GPUS; 0 asks
# for none and starts GPUS processes), CPUS_PER_TASK (5), SRUN_ARGS (more
# arguments of srun, separated by spaces), PORT, PYTHON.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -ge 3 ] ||
    fail 'usage: slurm_train.sh PARTITION JOB_NAME CONFIG [arguments]'
partition=$1 job=$2 config=$3
shift 3
gpus=${GPUS:-8}
whole_number GPUS "$gpus" 1
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
whole_number GPUS_PER_NODE "$per_node" 0
cpus=${CPUS_PER_TASK:-5}
whole_number CPUS_PER_TASK "$cpus" 1
command -v srun >/dev/null || fail 'srun is not there; is this a slurm node?'

resources=()
if [ "$per_node" -gt 0 ]; then
    resources=(--gres="gpu:$per_node" --ntasks-per-node="$per_node")
fi
read -r -a more <<<"${SRUN_ARGS:-}"
[ -z "${PORT:-}" ] || export MASTER_PORT=$PORT
choose_python
exec srun -p "$partition" \
    --job-name="$job" \
    --ntasks="$gpus" \
    "${resources[@]}" \
    --cpus-per-task="$cpus" \
    --kill-on-bad-exit=1 \
    "${more[@]}" \
    "$python" -u "$root/tools/train.py" "$config" "$@" --launcher slurm
