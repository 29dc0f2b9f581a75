#!/usr/bin/env bash
# Train under slurm.
#
#   bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of train.py]
#
# In front: GPUS (in all, default 8), GPUS_PER_NODE (8, at most GPUS; 0 asks
# for none and starts GPUS processes), CPUS_PER_TASK (one more than the loader's
# num_workers), SRUN_ARGS (more arguments of srun, separated by spaces), PORT,
# PYTHON. --amp trains in mixed precision.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -ge 3 ] ||
    fail 'usage: slurm_train.sh PARTITION JOB_NAME CONFIG [arguments]'
partition=$1 job=$2 config=$3
shift 3
choose_python
launch_slurm "$partition" "$job" train.py "$config" "$@"
