#!/usr/bin/env bash
# Train on several GPUs, or several gloo processes where there is none.
#
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#
# --amp trains in mixed precision: bfloat16 on GPUs that have it, else float16.
# Several nodes: on each one the same line, with NNODES, NODE_RANK (from 0),
# MASTER_ADDR (of node 0) and PORT in front. PYTHON names another Python.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ $# -ge 2 ] || fail 'usage: dist_train.sh CONFIG GPUS [arguments]'
config=$1 gpus=$2
shift 2
choose_python
launch "$gpus" train.py "$config" "$@"
