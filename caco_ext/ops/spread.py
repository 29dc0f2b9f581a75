"""How far features fill their space; small values mean collapse."""
import torch
from torch import Tensor


@torch.no_grad()
def feature_std(features: Tensor) -> Tensor:
    r"""Spread of unit vectors over a batch, channel by channel.

    :math:`\sqrt{C}` times the mean over channels of the standard deviation
    over the batch, as SimSiam plots it (arXiv 2011.10566, section 4.1).

    Args:
        features (Tensor): Unit vectors, (N, C).

    Returns:
        Tensor: Scalar; 1 for uniform directions, 0 if all are equal.
    """
    return features.std(dim=0, unbiased=False).mean() * features.size(1)**0.5


@torch.no_grad()
def effective_rank(features: Tensor) -> Tensor:
    """Effective number of directions that features use.

    It is the exponential of the entropy of their normalised singular values
    (Roy and Vetterli, EUSIPCO 2007). Features are not centred, so equal
    features count as one direction.

    Args:
        features (Tensor): (N, C), not all zero.

    Returns:
        Tensor: Scalar between 1 and min(N, C); NaN if a value is not finite.
    """
    features = features.double()
    if not features.isfinite().all():
        return features.new_tensor(float('nan'))
    if features.size(0) < features.size(1):
        features = features.t()
    # N may be thousands; this C x C product has the squared singular values
    squares = torch.linalg.eigvalsh(features.t() @ features)
    values = squares.clamp(min=0).sqrt()
    shares = values / values.sum()
    return torch.special.entr(shares).sum().exp()
