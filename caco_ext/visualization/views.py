"""The views that a pipeline makes, with the random choices for each."""
from dataclasses import dataclass, field
from typing import Any, Callable, List, Optional, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from caco_ext.datasets import MultiCrop, ViewRandomResizedCrop, decode_picture
from caco_ext.datasets.augment_data_preprocessor import finish_views
from .panels import PALETTE, Gallery, Tile
from .run_features import rgb_picture
from .tiles import fit, mark

# Longer side of an original in a gallery in pixels: boxes must be visible.
ORIGINAL = 160
Box = Tuple[int, int, int, int]


@dataclass
class View:
    """One view of a picture.

    Attributes:
        picture (np.ndarray): (h, w, 3) uint8 RGB, before normalisation.
        box (tuple, optional): Top, left, height and width of its crop in
            the original, in pixels. None where no ViewRandomResizedCrop made
            it.
        draws (list[str]): The random steps after the crop, in words.
    """
    picture: np.ndarray = field(init=False)
    box: Optional[Box] = None
    draws: List[str] = field(default_factory=list)


@dataclass
class PictureViews:
    """A picture and its views.

    Attributes:
        original (np.ndarray): The loaded picture, (H, W, 3) uint8 RGB.
        views (list[View]): Its views, in the order of the model's input.
    """
    original: np.ndarray
    views: List[View]


def _describe(step: tuple) -> str:
    """A random step in words: 'brightness 1.24', 'grey', 'Rotate -7'."""
    name, value = step[0], step[1]
    if len(step) == 3:  # an operation of StrongAugment and its direction
        return f'{name} {"-" if step[2] else ""}{value}'
    return name if name in ('flip', 'grey') else f'{name} {value:.3g}'


def _picture(results: Any) -> Union[None, bytes, np.ndarray]:
    """The picture between two steps, None where there are views of it."""
    if not isinstance(results, dict):
        return None
    picture = results.get('img', results.get('img_source'))
    return picture if isinstance(picture, (bytes, np.ndarray)) else None


class ViewRecorder:
    """Replaces the pipeline of a data set and records what it draws.

    It calls the steps of the pipeline, so the views are those of the
    training.

    Args:
        dataset (BaseDataset): Its ``pipeline`` is replaced.

    Raises:
        ValueError: The data set has no pipeline.
    """

    def __init__(self, dataset: Any) -> None:
        steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', None)
        if not steps:
            raise ValueError(f'{type(dataset).__name__} of train_dataloader '
                             'has no pipeline whose views could be shown')
        self.dataset = dataset
        self.steps = steps
        self.on_device = False
        self.original: Optional[np.ndarray] = None
        self.noted: List[View] = []
        for step in steps:
            if isinstance(step, MultiCrop):
                self._listen(step)
        dataset.pipeline = self

    def __call__(self, results: dict) -> Any:
        """Run the pipeline and keep the picture before the views."""
        self.noted, self.original = [], None
        for step in self.steps:
            before = _picture(results)
            results = step(results)
            if results is None:
                return None
            if before is not None and _picture(
                    results) is None and self.original is None:
                self.original = decode_picture(before) if isinstance(
                    before, bytes) else before
        return results

    def _listen(self, multi: MultiCrop) -> None:
        self.on_device = bool(multi.on_device)
        for pipeline, left in zip(multi.pipelines, multi._left):
            for step in [*pipeline.transforms, *left]:
                if isinstance(step, ViewRandomResizedCrop):
                    setattr(step, 'draw_box', self._noting_box(step.draw_box))
                elif hasattr(step, 'plan'):
                    step.plan = self._noting_plan(step.plan)
        multi.pipelines = [self._begin(p) for p in multi.pipelines]
        for crop in multi._crops:  # nothing calls the pipelines
            setattr(crop, 'draw_box', self._begin(crop.draw_box))

    def _begin(self, pipeline: Callable) -> Callable:

        def run(*args: Any) -> Any:
            self.noted.append(View())
            return pipeline(*args)

        return run

    def _noting_box(self, draw_box: Callable) -> Callable:

        def draw(height: int, width: int) -> Box:
            box = draw_box(height, width)
            self.noted[-1].box = box
            return box

        return draw

    def _noting_plan(self, plan: Callable) -> Callable:

        def draw() -> List[tuple]:
            steps = plan()
            self.noted[-1].draws += map(_describe, steps)
            return steps

        return draw

    def views(self, index: int) -> PictureViews:
        """Make the views of a picture.

        Args:
            index (int): Its index in the data set.

        Returns:
            PictureViews: The picture and its views.
        """
        item = self.dataset[index]
        if self.on_device:
            finished = finish_views([view[None] for view in item['inputs']],
                                    [item['data_samples']],
                                    torch.device('cpu'))
            item['inputs'] = [view[0] for view in finished]
        count = len(item['inputs'])
        # Only MultiCrop is recorded.
        views = self.noted if len(
            self.noted) == count else [View() for _ in range(count)]
        for i, view in enumerate(views):
            view.picture = rgb_picture(item, i)
        original = views[0].picture if self.original is None else \
            np.ascontiguousarray(self.original[..., ::-1])
        return PictureViews(original, views)


def make_views(cfg: Config,
               count: int = 8,
               seed: int = 0,
               epoch: int = 0) -> List[PictureViews]:
    """Make the views of some training pictures, as a run makes them.

    Args:
        cfg (Config): Its ``train_dataloader.dataset`` is used.
        count (int): Number of pictures, evenly from the whole data set.
            Defaults to 8.
        seed (int): Seed of the run. Defaults to 0.
        epoch (int): Epoch of the run, from 0. Defaults to 0.

    Returns:
        list[PictureViews]: One for each picture.

    Raises:
        ValueError: The config has no training data, or no pipeline.
    """
    loader = cfg.get('train_dataloader')
    if not loader or not loader.get('dataset'):
        raise ValueError('the config has no train_dataloader.dataset whose '
                         'views could be shown')
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    with torch.random.fork_rng(devices=[]):
        dataset = DATASETS.build(loader['dataset'])
        if hasattr(dataset, 'set_epoch'):
            dataset.set_epoch(seed, epoch)
        recorder = ViewRecorder(dataset)
        places = np.linspace(0, len(dataset), min(count, len(dataset)), False)
        return [recorder.views(int(i)) for i in places]


def views_gallery(pictures: List[PictureViews], title: str = '') -> Gallery:
    """Show originals with the boxes of their crops, and the views.

    Args:
        pictures (list[PictureViews]): From :func:`make_views`.
        title (str): Printed above. Defaults to ''.

    Returns:
        Gallery: A row for each picture.
    """
    rows = []
    for one in pictures:
        height = one.original.shape[0]
        large = fit(one.original, ORIGINAL)
        scale = large.shape[0] / height
        tiles = []
        for i, view in enumerate(one.views):
            colour = PALETTE[i % len(PALETTE)] if view.box else ''
            caption = f'view {i + 1}'
            if view.box:
                top, left, h, w = (round(edge * scale) for edge in view.box)
                large = mark(large, (top, left, h, w), colour)
                share = view.box[2] * view.box[3] / one.original[..., 0].size
                caption += f', {share:.0%} of the area'
            caption += ''.join(f'\n{text}' for text in view.draws)
            tiles.append(Tile(view.picture, caption, colour))
        size = 'x'.join(map(str, one.original.shape[1::-1]))
        rows.append([Tile(large, f'original, {size}'), *tiles])
    return Gallery(
        title, rows, 'boxes: what each view was cut from; below '
        'a view what was drawn for it, in the order of the steps')
