#!/usr/bin/env bash
# Linear probe on ImageNet, by the trainer of mmcls.
#
#   bash tools/benchmarks/linear/run.sh CONFIG CHECKPOINT GPUS [options]
#
# Configs: configs/benchmarks/classification/imagenet/resnet*_linear*.py
# The rest is explained in tools/benchmarks/benchmark.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../benchmark.sh"

stock mmcls "$@"
