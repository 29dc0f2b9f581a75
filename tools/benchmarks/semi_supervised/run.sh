#!/usr/bin/env bash
# Fine-tuning on 1 or 10 % of ImageNet, by the trainer of mmcls.
#
#   bash tools/benchmarks/semi_supervised/run.sh CONFIG CHECKPOINT GPUS [options]
#
# Configs: configs/benchmarks/classification/imagenet/resnet*pct.py
# The rest is explained in tools/benchmarks/benchmark.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../benchmark.sh"

stock mmcls "$@"
