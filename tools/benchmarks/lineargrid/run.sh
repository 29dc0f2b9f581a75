#!/usr/bin/env bash
# Linear layers for a grid of learning rates on cached features.
#
#   bash tools/benchmarks/lineargrid/run.sh CONFIG CHECKPOINT GPUS [options]
#
# Configs: configs/benchmarks/classification/imagenet/lineargrid_in1k.py
# The rest is explained in tools/benchmarks/benchmark.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../benchmark.sh"

own benchmarks/lineargrid/test_lineargrid.py "$@"
