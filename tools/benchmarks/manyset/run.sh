#!/usr/bin/env bash
# Linear evaluation of a frozen backbone on many small data sets.
#
#   bash tools/benchmarks/manyset/run.sh CHECKPOINT [--datasets cifar10,dtd]
#       [--data NAME=ROOT ...] [--root data] [--size 224] [--work-dir FOLDER]
#
# CHECKPOINT is a file, or random-resnet50 and the like for an untrained
# network. Writes table.md and results.json. Run again after an interruption,
# it continues. PYTHON names another Python.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../common.sh"

choose_python
exec "$python" "$root/tools/benchmarks/manyset/test_manyset.py" "$@"
