#!/usr/bin/env bash
# Segmentation on VOC or Cityscapes, by the trainer of mmseg.
#
#   bash tools/benchmarks/segmentation/run.sh CONFIG CHECKPOINT GPUS [options]
#
# Configs: configs/benchmarks/mmsegmentation/*/*.py
# The rest is explained in tools/benchmarks/benchmark.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../benchmark.sh"

stock mmseg "$@"
