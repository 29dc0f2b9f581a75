#!/usr/bin/env bash
# Train several methods under the same conditions and compare them.
#
#   bash tools/benchmarks/compare_methods.sh [--track cifar-cpu]
#       [--data ROOT] [--pictures 10000] [--methods adco,caco,mocov2]
#       [--seeds 0,1,2] [--epochs 10] [--out work_dirs/compare] [--amp]
#       [--jobs 2] [--cfg-options KEY=VALUE ...] [--table-only]
#
# Writes table.md, plot.png and results.json. Run again after an interruption,
# it continues. PYTHON names another Python.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

choose_python
exec "$python" "$root/tools/benchmarks/compare_methods.py" "$@"
