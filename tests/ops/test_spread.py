"""Signals of collapse on features whose spread is known."""
import math

import pytest
import torch
from torch.nn import functional as F

from caco_ext.ops.spread import effective_rank, feature_std


def test_one_point():
    features = F.normalize(torch.randn(1, 16), dim=1).repeat(9, 1)
    assert float(feature_std(features)) == pytest.approx(0, abs=1e-6)
    assert float(effective_rank(features)) == pytest.approx(1, abs=1e-4)


def test_everywhere():
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(4096, 32, generator=generator), dim=1)
    assert float(feature_std(features)) == pytest.approx(1, abs=0.01)
    assert 31 < float(effective_rank(features)) <= 32


@pytest.mark.parametrize('shape', [(4, 16), (64, 16)])
def test_some_directions(shape):
    """Four directions, used alike: rank 4, whatever the batch."""
    features = torch.eye(16)[:4].repeat(shape[0] // 4, 1)
    assert float(effective_rank(features)) == pytest.approx(4)


def test_unequal_directions():
    """Singular values 2 and 1: the entropy of (2/3, 1/3)."""
    features = torch.tensor([[2., 0.], [0., 1.], [0., 0.]])
    entropy = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert float(effective_rank(features)) == pytest.approx(math.exp(entropy))


def test_nan_is_nan():
    assert math.isnan(effective_rank(torch.full((3, 2), float('nan'))))
