"""Query pictures beside their nearest training pictures."""
from dataclasses import dataclass
from typing import List

import numpy as np

from caco_ext.evaluation import nearest_neighbours
from .panels import DARK, GREEN, RED, Gallery, Tile
from .run_features import RunFeatures, choose_queries


@dataclass
class Neighbourhood:
    """A query and its nearest training pictures.

    Attributes:
        pictures (list[np.ndarray]): (H, W, 3) uint8 RGB; the query first.
        names (list[str]): Their class names.
        cosines (list[float]): Cosine similarity of each neighbour to the
            query.
        right (list[bool]): Whether each neighbour has the query's class.
    """
    pictures: List[np.ndarray]
    names: List[str]
    cosines: List[float]
    right: List[bool]


def find_neighbours(features: RunFeatures,
                    queries: int = 8,
                    neighbours: int = 5) -> List[Neighbourhood]:
    """Find the nearest training pictures of some test pictures.

    Args:
        features (RunFeatures): Features of a run with a KNNHook, whose data
            sets are used.
        queries (int): Number of test pictures, chosen at random. Defaults
            to 8.
        neighbours (int): Training pictures per query. Defaults to 5.

    Returns:
        list[Neighbourhood]: One per query.
    """
    train, test = features.train, features.test
    chosen = choose_queries(test.labels, queries)
    count = min(neighbours, len(train.rows))
    cosines, indices = nearest_neighbours(train.unit, test.unit[chosen], count)
    result = []
    for q, cosine, index in zip(chosen, cosines, indices.numpy()):
        label = test.labels[q]
        names = features.class_names([label, *train.labels[index]])
        pictures = [test.picture(q), *map(train.picture, index)]
        right = (train.labels[index] == label).tolist()
        result.append(Neighbourhood(pictures, names, cosine.tolist(), right))
    return result


def neighbours_gallery(rows: List[Neighbourhood], title: str = '') -> Gallery:
    """Show each query in a row with its neighbours.

    Args:
        rows (list[Neighbourhood]): From :func:`find_neighbours`.
        title (str): Printed above. Defaults to ''.

    Returns:
        Gallery: The pictures.
    """
    right = [one for row in rows for one in row.right]
    lines = []
    for row in rows:
        colours = [DARK] + [GREEN if r else RED for r in row.right]
        captions = ['query'] + [f'{c:.3f}' for c in row.cosines]
        lines.append([
            Tile(picture, f'{name}\n{caption}',
                 colour) for picture, name, caption, colour in zip(
                     row.pictures, row.names, captions, colours)
        ])
    return Gallery(
        title, lines, 'green: same class as the query, red: another class; '
        f'below: cosine similarity ({sum(right)} of {len(right)} right)')
