"""How far features fill their space: what tells of collapse."""
import torch
from torch import Tensor


@torch.no_grad()
def feature_std(features: Tensor) -> Tensor:
    r"""Spread of unit vectors over a batch, channel by channel.

    :math:`\sqrt{C}` times the mean over channels of the standard deviation
    over the batch, as SimSiam (arXiv 2011.10566, section 4.1) watches it.

    Args:
        features (Tensor): Unit vectors, (N, C).

    Returns:
        Tensor: Scalar; 1 where they point everywhere, 0 where all are one.
    """
    return features.std(dim=0, unbiased=False).mean() * features.size(1)**0.5


@torch.no_grad()
def effective_rank(features: Tensor) -> Tensor:
    """Number of directions that features use, counted softly.

    The exponential of the entropy of their normalised singular values (Roy
    and Vetterli, EUSIPCO 2007), without centring, so that one common point is
    one direction.

    Args:
        features (Tensor): (N, C), not all zero.

    Returns:
        Tensor: Scalar between 1 and min(N, C); NaN where one is in them.
    """
    features = features.double()
    if not features.isfinite().all():
        return features.new_tensor(float('nan'))
    if features.size(0) < features.size(1):
        features = features.t()
    # N may be thousands: the small product has the same singular values
    squares = torch.linalg.eigvalsh(features.t() @ features)
    values = squares.clamp(min=0).sqrt()
    shares = values / values.sum()
    return torch.special.entr(shares).sum().exp()
