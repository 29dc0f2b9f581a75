"""Fixed random shares of a data set, the same in every run."""
import numpy as np

# Changing this changes which pictures every user's runs hold out.
_HOLD_OUT_SEED = 0


def share_of_classes(labels: np.ndarray,
                     share: float,
                     seed: int,
                     spare_one: bool = False) -> np.ndarray:
    """Choose a fixed random share of each class.

    Args:
        labels (np.ndarray): (N, ) label of each item; -1 counts as a class.
        share (float): Share of each class, at least one item unless 0.
        seed (int): Seed that chooses the share.
        spare_one (bool): Leave at least one item of each class unchosen.
            Defaults to False.

    Returns:
        np.ndarray: (N, ) bool, True for the chosen items.
    """
    keys = np.random.default_rng(seed).random(len(labels))
    order = np.lexsort((keys, labels))
    _, start, count = np.unique(
        labels[order], return_index=True, return_counts=True)
    quota = np.rint(share * count).astype(int)
    if share > 0:
        quota = np.maximum(quota, 1)
    if spare_one:
        quota = np.minimum(quota, count - 1)
    chosen = np.zeros(len(labels), bool)
    rank = np.arange(len(labels)) - np.repeat(start, count)
    chosen[order] = rank < np.repeat(quota, count)
    return chosen


def hold_out(labels: np.ndarray, val_share: float, split: str) -> np.ndarray:
    """Split a root without parts into 'train' and 'val'.

    Args:
        labels (np.ndarray): (N, ) label of each item.
        val_share (float): Share of each class that 'val' gets.
        split (str): 'train' or 'val'.

    Returns:
        np.ndarray: Sorted indices of the split. Both splits together hold
        every item.
    """
    held = share_of_classes(labels, val_share, _HOLD_OUT_SEED, spare_one=True)
    return np.flatnonzero(held if split == 'val' else ~held)


def keep_fraction(keep: np.ndarray, labels: np.ndarray, fraction: float,
                  seed: int) -> np.ndarray:
    """Reduce a choice of items to a fixed share of each class.

    Args:
        keep (np.ndarray): Indices chosen so far.
        labels (np.ndarray): (N, ) label of each item.
        fraction (float): Share of each class that stays.
        seed (int): Seed that chooses the share.

    Returns:
        np.ndarray: Indices, in the order of ``keep``.
    """
    if fraction == 1 or not len(keep):
        return keep
    return keep[share_of_classes(labels[keep], fraction, seed)]
