#!/usr/bin/env bash
# Linear probe on Places205, by the trainer of mmcls.
#
#   bash tools/benchmarks/places205/run.sh CONFIG CHECKPOINT GPUS [options]
#
# Configs: configs/benchmarks/classification/places205/*.py
# The rest is explained in tools/benchmarks/benchmark.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../benchmark.sh"

stock mmcls "$@"
