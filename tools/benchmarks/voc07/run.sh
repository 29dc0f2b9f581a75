#!/usr/bin/env bash
# VOC2007 classification, by SVMs or a linear layer, as the config says.
#
#   bash tools/benchmarks/voc07/run.sh CONFIG CHECKPOINT GPUS [options]
#
# Configs: configs/benchmarks/classification/voc07/*.py
# The rest is explained in tools/benchmarks/benchmark.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../benchmark.sh"

own benchmarks/voc07/test_voc07.py "$@"
