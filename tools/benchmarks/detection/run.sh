#!/usr/bin/env bash
# Detection on COCO or VOC, by the trainer of mmdet.
#
#   bash tools/benchmarks/detection/run.sh CONFIG CHECKPOINT GPUS [options]
#
# Configs: configs/benchmarks/mmdetection/*/*.py
# The rest is explained in tools/benchmarks/benchmark.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../benchmark.sh"

stock mmdet "$@"
