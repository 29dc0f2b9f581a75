#!/usr/bin/env bash
# Nearest neighbours on frozen features.
#
#   bash tools/benchmarks/knn/run.sh CONFIG CHECKPOINT GPUS [options]
#
# Configs: configs/benchmarks/classification/imagenet/knn_in1k.py
# The rest is explained in tools/benchmarks/benchmark.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../benchmark.sh"

own benchmarks/knn/test_knn.py "$@"
