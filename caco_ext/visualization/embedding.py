"""Maps of features in two dimensions: PCA, t-SNE and UMAP."""
import importlib.util
from typing import List, Sequence

import numpy as np
from torch import Tensor

from caco_ext.utils.extras import import_extra, missing_extra
from .panels import Chart, Series
from .run_features import RunFeatures

METHODS = ('pca', 'tsne', 'umap')
NAMES = dict(
    pca='the two directions of largest variance (PCA)',
    tsne='t-SNE: neighbours stay neighbours, distances mean little',
    umap='UMAP: neighbours stay neighbours, distances mean little')


def check_method(method: str) -> None:
    """Check that a method exists and that its package is installed.

    Args:
        method (str): The name.

    Raises:
        ValueError: There is no such method.
        ImportError: Its package is not installed.
    """
    if method not in METHODS:
        raise ValueError(f'embedding method {method!r} is unknown; use one of '
                         f'{", ".join(METHODS)}')
    if method == 'umap' and importlib.util.find_spec('umap') is None:
        raise missing_extra('UMAP', 'umap-learn', 'report', ", or use 'tsne'")
    import_extra('sklearn', 'report', f'The embedding {method!r}')


def embed(features: Tensor, method: str = 'tsne', seed: int = 0) -> np.ndarray:
    """Reduce features to two dimensions.

    Args:
        features (Tensor): (N, C).
        method (str): 'pca', 'tsne' or 'umap' (needs umap-learn).
            Defaults to 'tsne'.
        seed (int): Seed of the random numbers. Defaults to 0.

    Returns:
        np.ndarray: (N, 2), float32.

    Raises:
        ValueError: There is no such method, or fewer than four pictures.
        ImportError: Its package is not installed.
    """
    check_method(method)
    x = features.numpy()
    if len(x) < 4:
        raise ValueError(f'{len(x)} pictures are too few for a map of them; '
                         'four are the least')
    if method == 'umap':
        return _umap(x, seed)
    from sklearn.decomposition import PCA
    if method == 'pca':
        return PCA(2, random_state=seed).fit_transform(x).astype(np.float32)
    from sklearn.manifold import TSNE

    # Fifty directions keep the neighbours and take a fraction of the time.
    few = PCA(min(50, *x.shape), random_state=seed).fit_transform(x)
    perplexity = min(30., (len(x) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init='pca', random_state=seed)
    return tsne.fit_transform(few).astype(np.float32)


def _umap(x: np.ndarray, seed: int) -> np.ndarray:
    from umap import UMAP

    # For unit vectors the Euclidean order is that of the cosine.
    umap = UMAP(n_neighbors=min(15, len(x) - 1), random_state=seed, n_jobs=1)
    return umap.fit_transform(x).astype(np.float32)


def _class_series(points: np.ndarray, labels: np.ndarray,
                  names: Sequence[str]) -> List[Series]:
    """The points (N, 2) of each class, with the index of each thumbnail."""
    series = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        series.append(
            Series(
                points[members, 0].tolist(),
                points[members, 1].tolist(),
                names[members[0]],
                'points',
                labels=[names[i] for i in members],
                thumbs=members.tolist()))
    return series


def embedding_chart(features: RunFeatures,
                    method: str = 'tsne',
                    seed: int = 0) -> Chart:
    """Show the test set in two dimensions, with its pictures.

    Args:
        features (RunFeatures): Features of a run.
        method (str): See :func:`embed`. Defaults to 'tsne'.
        seed (int): Seed of the random numbers. Defaults to 0.

    Returns:
        Chart: A series for each class.
    """
    test = features.test
    points = embed(test.unit, method, seed)
    names = features.class_names(test.labels)
    return Chart(
        f'{len(points)} pictures of the test set',
        '',
        '',
        _class_series(points, test.labels, names),
        wide=True,
        note=f'Features of the backbone; {NAMES[method]}.',
        hint='The pointer shows the picture; a click on a class in the '
        'legend hides it.',
        thumbs=features.thumbs)
