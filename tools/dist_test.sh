#!/usr/bin/env bash
# Evaluate a checkpoint on several GPUs, or in several gloo processes.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
#
# NNODES, NODE_RANK, MASTER_ADDR, PORT and PYTHON as for dist_train.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -ge 3 ] || fail 'usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments]'
config=$1 checkpoint=$2 gpus=$3
shift 3
choose_python
launch "$gpus" test.py "$config" "$checkpoint" "$@"
