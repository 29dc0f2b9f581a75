"""Query pictures beside their nearest training pictures."""
from dataclasses import dataclass
from typing import List, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, init_default_scope

from caco_ext.engine.hooks.knn_hook import KNNHook
from caco_ext.evaluation import (build_feature_loader, extract_features,
                                 nearest_neighbours)
from .curves import save_figure

RIGHT, WRONG, QUERY = '#2a8a3e', '#c62f2f', '#333333'


@dataclass
class Neighbourhood:
    """A query and its nearest training pictures.

    Attributes:
        pictures (list[np.ndarray]): (H, W, 3) uint8 RGB; the query first.
        names (list[str]): Class names of these.
        cosines (list[float]): Similarities of the neighbours to the query.
        right (list[bool]): Whether a neighbour has the query's class.
    """
    pictures: List[np.ndarray]
    names: List[str]
    cosines: List[float]
    right: List[bool]


def build_knn_hook(cfg: Config) -> KNNHook:
    """Build the KNNHook that a config names.

    Args:
        cfg (Config): Config of a run.

    Returns:
        KNNHook: The hook, not part of any runner.

    Raises:
        ValueError: The config has none.
    """
    hooks = list((cfg.get('default_hooks') or {}).values())
    hooks += cfg.get('custom_hooks') or []
    for hook in hooks:
        kind = hook['type'] if hook else None
        if kind is KNNHook or str(kind).split('.')[-1] == 'KNNHook':
            return HOOKS.build(hook)
    raise ValueError('the config of this run has no KNNHook, whose data sets '
                     'the neighbours are drawn from')


def load_backbone(cfg: Config, checkpoint: str) -> torch.nn.Module:
    """Build the model of a config with the backbone of a checkpoint.

    Args:
        cfg (Config): Config of a run.
        checkpoint (str): A checkpoint of it, whole or backbone only.

    Returns:
        nn.Module: The model, on the GPU where there is one.

    Raises:
        ValueError: The checkpoint does not hold exactly this backbone.
    """
    content = torch.load(checkpoint, map_location='cpu', weights_only=True)
    state = content.get('state_dict', content)
    prefix = 'backbone.'
    weights = {
        name[len(prefix):]: value
        for name, value in state.items() if name.startswith(prefix)
    }
    model = MODELS.build(cfg.model)
    try:
        model.backbone.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f'{checkpoint!r} does not hold the backbone of this '
                         f'config: {error}') from error
    return model.to('cuda' if torch.cuda.is_available() else 'cpu')


def choose_queries(labels: np.ndarray, count: int, seed: int = 0) -> list:
    """Choose queries at random, of as many classes as possible.

    Args:
        labels (np.ndarray): Labels of the test set, shape (Q, ).
        count (int): How many.
        seed (int): Of the choice. Defaults to 0.

    Returns:
        list[int]: Indices.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    rounds = np.zeros(len(labels), dtype=int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rounds[members] = np.arange(len(members))
    # one of every class first, then a second of every class, ...
    chosen = order[np.argsort(rounds[order], kind='stable')][:count]
    return chosen[np.argsort(labels[chosen], kind='stable')].tolist()


def _picture(dataset, index: int) -> np.ndarray:
    """What the network sees of a picture, as RGB."""
    bgr = dataset[index]['inputs'][0]
    return np.ascontiguousarray(bgr.permute(1, 2, 0).numpy()[..., ::-1])


def _class_names(dataset, labels: Sequence[int]) -> List[str]:
    names = getattr(dataset, 'metainfo', {}).get('classes')
    return [str(names[i] if names else i) for i in labels]


def find_neighbours(cfg: Config,
                    checkpoint: str,
                    queries: int = 8,
                    neighbours: int = 5) -> List[Neighbourhood]:
    """Find the nearest training pictures of some test pictures.

    Args:
        cfg (Config): Config of a run with a KNNHook, whose data sets and
            training share are used.
        checkpoint (str): Checkpoint of the run.
        queries (int): Number of test pictures, chosen at random. Defaults
            to 8.
        neighbours (int): Training pictures per query. Defaults to 5.

    Returns:
        list[Neighbourhood]: One per query; unreadable ones are left out.
    """
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    hook = build_knn_hook(cfg)
    model = load_backbone(cfg, checkpoint)
    (train, share, labels), (test, _, test_labels), _ = hook.build_datasets()
    chosen = np.array(choose_queries(test_labels, queries))
    # unreadable pictures drop out; the row numbers say which ones stayed
    loader = build_feature_loader(train, share, np.arange(len(share)),
                                  hook.batch_size, hook.num_workers)
    bank, rows = extract_features(model, loader)
    loader = build_feature_loader(test, chosen, chosen, hook.batch_size,
                                  hook.num_workers)
    query, chosen = extract_features(model, loader)
    cosines, indices = nearest_neighbours(bank, query, neighbours)
    result = []
    for q, cosine, index in zip(chosen.tolist(), cosines, rows[indices]):
        index = index.numpy()
        names = _class_names(train, [test_labels[q], *labels[index]])
        pictures = [_picture(test, q)]
        pictures += [_picture(train, int(i)) for i in share[index]]
        right = (labels[index] == test_labels[q]).tolist()
        result.append(Neighbourhood(pictures, names, cosine.tolist(), right))
    return result


def draw_neighbours(rows: List[Neighbourhood],
                    path: str,
                    title: str = '') -> str:
    """Draw queries in the first column, their neighbours beside them.

    Args:
        rows (list[Neighbourhood]): From :func:`find_neighbours`.
        path (str): The ``.png`` file to write.
        title (str): Printed above. Defaults to ''.

    Returns:
        str: ``path``.
    """
    columns = max(len(row.pictures) for row in rows)
    ratios = [1, 0.15] + [1] * (columns - 1)  # a gap after the query
    figure = Figure(
        figsize=(1.45 * columns + 0.2, 1.75 * len(rows) + 0.6),
        layout='constrained')
    grid = figure.subplots(
        len(rows),
        columns + 1,
        squeeze=False,
        gridspec_kw=dict(width_ratios=ratios))
    for axes in grid.flat:
        axes.set_axis_off()
    for row, line in zip(rows, grid):
        places = [line[0], *line[2:]]
        colours = [QUERY] + [RIGHT if r else WRONG for r in row.right]
        captions = ['query'] + [f'{c:.3f}' for c in row.cosines]
        for axes, picture, colour, name, caption in zip(
                places, row.pictures, colours, row.names, captions):
            axes.set_axis_on()
            axes.imshow(picture)
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(color=colour, linewidth=3.5)
            axes.set_xlabel(
                f'{name}\n{caption}', fontsize=8, color=colour, labelpad=3)
    figure.suptitle(
        f'{title}\ngreen: same class as the query, red: another class; '
        'below: cosine similarity'.strip(),
        fontsize=9)
    save_figure(figure, path)
    return path
