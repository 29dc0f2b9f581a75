"""The helper that runs tests in several processes."""
import time

import pytest
import torch
import torch.distributed as dist

from tests.helpers.distributed import run_distributed


def _sum_of_ranks(factor):
    value = torch.tensor([factor * (dist.get_rank() + 1)])
    dist.all_reduce(value)
    return dist.get_rank(), value.item()


def _fail_on_rank_one():
    if dist.get_rank() == 1:
        raise ValueError('rank one does not want to')
    dist.barrier()


def _sleep():
    time.sleep(60)


def test_results_come_in_rank_order():
    assert run_distributed(_sum_of_ranks, 3, 10) == [(0, 60), (1, 60), (2, 60)]


def test_error_of_one_rank_is_reported():
    start = time.time()
    with pytest.raises(RuntimeError, match='rank one does not want to'):
        run_distributed(_fail_on_rank_one, 2)
    assert time.time() - start < 60


@pytest.mark.slow
def test_timeout():
    with pytest.raises(TimeoutError, match='_sleep did not end within 2 s'):
        run_distributed(_sleep, 2, timeout=2)
