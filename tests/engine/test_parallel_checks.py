"""How a run is spread over processes. More in tests/reliability."""
from types import SimpleNamespace

import pytest
from mmengine.model import MMFullyShardedDataParallel

from caco_ext.engine.parallel_checks import check_wrapper


def test_fsdp_is_refused():
    # torch makes none without an accelerator.
    wrapped = object.__new__(MMFullyShardedDataParallel)
    with pytest.raises(
            ValueError,
            match='makes a MMFullyShardedDataParallel, which shards the '
            "weights.*leave it out, .*'ZeroRedundancyOptimizer'"):
        check_wrapper(SimpleNamespace(model=wrapped, cfg={}))


def test_the_usual_runner_may_be_named():
    check_wrapper(SimpleNamespace(model=None, cfg=dict(runner_type='Runner')))
