"""Views of one picture: cropping, flipping, and several views at once."""
import math
import random
from typing import Any, Iterable, Iterator, List, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS
from PIL import Image

from .base import BaseTransform, Results, Step
from .random_step import RandomStep, check_backend


def _resize_pillow(part: np.ndarray, size: int) -> np.ndarray:
    # Channels are resized separately, so their order does not matter.
    picture = Image.fromarray(np.ascontiguousarray(part))
    return np.array(picture.resize((size, size), Image.Resampling.BILINEAR))


def _resize_fast(part: np.ndarray, size: int) -> np.ndarray:
    # Torch has PIL's filter with vector instructions. It resizes a batch of
    # one without a copy if the strides are channels last. A read-only array,
    # such as a mapped file, is copied, as torch would warn of it.
    batch = torch.from_numpy(np.require(part, requirements=['C', 'W']))[None]
    resized = F.interpolate(
        batch.permute(0, 3, 1, 2), (size, size),
        mode='bilinear',
        antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


_RESIZE = dict(fast=_resize_fast, pillow=_resize_pillow)


@TRANSFORMS.register_module()
class ViewRandomResizedCrop(BaseTransform):
    """Cut out a random part and resize it to a square.

    Works like torchvision's ``RandomResizedCrop`` on PIL pictures. Area and
    logarithm of the aspect ratio are uniform. After ten misses the largest
    central crop is used. PIL's bilinear filter resizes the part; unlike
    OpenCV's, it averages when it shrinks.

    Required and modified key: img, (H, W, 3) uint8. Modified: img_shape.

    Args:
        size (int): Side of the resulting square in pixels.
        scale (tuple[float, float]): Range of the part's share of the area.
            Defaults to (0.2, 1.0).
        ratio (tuple[float, float]): Range of width / height. Defaults to
            (3/4, 4/3).
        backend (str): 'fast' (torch) or 'pillow', the reference.
            Defaults to 'fast'.

    Raises:
        ValueError: If an option is out of its range.
    """

    ATTEMPTS = 10

    def __init__(self,
                 size: int,
                 scale: Tuple[float, float] = (0.2, 1.0),
                 ratio: Tuple[float, float] = (3 / 4, 4 / 3),
                 backend: str = 'fast') -> None:
        if not isinstance(size, int) or size < 1:
            raise ValueError(f'size must be a positive integer, got {size}')
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError('scale must be a range (low, high) above 0 and '
                             f'at most 1, got {scale}')
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError('ratio must be a positive range (low, high), '
                             f'got {ratio}')
        self.size = size
        self.scale = scale[0], scale[1]
        self.ratio = ratio[0], ratio[1]
        self.backend = check_backend(backend)

    def draw_box(self, height: int, width: int) -> Tuple[int, int, int, int]:
        """Draw the part.

        Args:
            height (int): Height of the picture.
            width (int): Width of the picture.

        Returns:
            tuple[int, int, int, int]: Top, left, height, width.
        """
        logs = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(self.ATTEMPTS):
            area = height * width * random.uniform(*self.scale)
            ratio = math.exp(random.uniform(*logs))
            w = round(math.sqrt(area * ratio))
            h = round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return (random.randint(0, height - h),
                        random.randint(0, width - w), h, w)
        w, h = width, height
        if width / height < self.ratio[0]:
            h = round(width / self.ratio[0])
        elif width / height > self.ratio[1]:
            w = round(height * self.ratio[1])
        return (height - h) // 2, (width - w) // 2, h, w

    def transform(self, results: Results) -> Results:
        """Cut and resize the picture."""
        img = results['img']
        top, left, h, w = self.draw_box(*img.shape[:2])
        results['img'] = _RESIZE[self.backend](img[top:top + h, left:left + w],
                                               self.size)
        results['img_shape'] = (self.size, self.size)
        return results


@TRANSFORMS.register_module()
class ViewFlip(RandomStep):
    """Mirror the picture, left to right.

    Args:
        prob (float): Probability. Defaults to 0.5.
        backend (str): See :class:`RandomStep`. Defaults to 'fast'.
    """

    def __init__(self, prob: float = 0.5, backend: str = 'fast') -> None:
        super().__init__(prob, backend)

    def draw(self) -> List[Step]:
        """The only way; see :class:`RandomStep`."""
        return [('flip', 1.)]


def by_planes(img: np.ndarray) -> np.ndarray:
    """Store a picture in memory channel by channel, as networks need it.

    The packing step turns views into (3, h, w) with numpy. OpenCV does this
    eight times as fast, and numpy then has nothing to copy.

    Args:
        img (np.ndarray): (h, w, 3).

    Returns:
        np.ndarray: (h, w, 3), the same values in another order in memory.
        An array without three channels is returned as it is.
    """
    if img.ndim != 3 or img.shape[2] != 3:
        return img
    planes = np.empty((3, *img.shape[:2]), img.dtype)
    cv2.split(img, list(planes))
    return planes.transpose(1, 2, 0)


def _flatten(pipeline: Iterable[Any]) -> Iterator[Any]:
    """Steps of a pipeline that may contain pipelines."""
    for step in pipeline:
        if isinstance(step, (list, tuple)):
            yield from _flatten(step)
        else:
            yield step


@TRANSFORMS.register_module()
class MultiCrop(BaseTransform):
    """Make several views of one picture.

    In a config it looks like mmselfsup's ``MultiView``. But each view gets a
    shallow copy, not a deep one, and transforms cannot write into the shared
    picture. ``total_views`` lets a model check the number at the start.

    Required keys: img and those of the transforms. Modified key: img, a list
    of ``total_views`` arrays, in the order of ``num_views``. Added key with
    ``on_device``: view_plans, a plan for each view. With 'crop' the required
    key is img_source of ``LoadImage(on_device=True)``, and img is empty.

    Args:
        transforms (list[list[dict]]): Pipelines, one per kind of view. Nested
            lists are flattened, so that configs can share the steps after
            the crop.
        num_views (int | list[int]): How many views of each kind.
        on_device (bool | str): True only draws the random steps after the
            crop. The model's :class:`AugmentDataPreprocessor` then applies
            them on its device. The packing step must have ``view_plans``
            among its ``meta_keys``. 'crop' draws the crop, too, and the
            packing step needs ``img_source`` as well. Defaults to False.

    Raises:
        ValueError: If the two lists do not match, a number is not positive,
            or a step cannot run on the device.

    Example:
        >>> MultiCrop(
        ...     num_views=[2, 6],
        ...     transforms=[[dict(type='ViewRandomResizedCrop', size=224)],
        ...                 [dict(type='ViewRandomResizedCrop', size=96,
        ...                       scale=(.05, .14))]]).total_views
        8
    """

    def __init__(self,
                 transforms: Sequence[Sequence[Any]],
                 num_views: Union[int, Sequence[int]],
                 on_device: Union[bool, str] = False) -> None:
        if on_device not in (False, True, 'crop'):
            raise ValueError("on_device must be False, True or 'crop', got "
                             f'{on_device!r}')
        if isinstance(num_views, int):
            num_views = [num_views]
        if len(num_views) != len(transforms):
            raise ValueError(
                f'num_views={list(num_views)} names {len(num_views)} kinds of '
                f'views, but transforms has {len(transforms)} pipelines; give '
                'one number for each pipeline')
        if not num_views or min(num_views) < 1:
            raise ValueError('num_views must hold positive numbers, got '
                             f'{list(num_views)}')
        self.num_views = list(num_views)
        self.pipelines = [Compose(list(_flatten(p))) for p in transforms]
        self.on_device = on_device
        self._left: List[List[RandomStep]] = [[] for _ in self.pipelines]
        if on_device:
            self._left = [self._split_off(p) for p in self.pipelines]
        self._crops = [self._only_crop(p)
                       for p in self.pipelines] if on_device == 'crop' else []

    @staticmethod
    def _split_off(pipeline: Compose) -> List[RandomStep]:
        """Remove the random steps from the end of a pipeline."""
        steps = pipeline.transforms
        first = next(
            (i for i, step in enumerate(steps) if hasattr(step, 'plan')),
            len(steps))
        for step in steps[first:]:
            if not hasattr(step, 'plan'):
                raise ValueError(
                    f'{type(step).__name__} stands behind '
                    f'{type(steps[first]).__name__}, which on_device=True '
                    'leaves to the device; put it in front, or set '
                    'on_device=False')
        pipeline.transforms = steps[:first]
        return steps[first:]

    @staticmethod
    def _only_crop(pipeline: Compose) -> ViewRandomResizedCrop:
        """The crop of a pipeline that has nothing else to do in a worker."""
        steps = pipeline.transforms
        if len(steps) != 1 or not isinstance(steps[0], ViewRandomResizedCrop):
            raise ValueError(
                "on_device='crop' needs one ViewRandomResizedCrop in front of "
                f'the random steps, got {steps}; set on_device=True')
        return steps[0]

    @property
    def total_views(self) -> int:
        """int: Number of views of a picture."""
        return sum(self.num_views)

    def transform(self, results: Results) -> Results:
        """Make the views, in the layout of :func:`by_planes`."""
        if self.on_device == 'crop':
            return self._draw_all(results)
        if 'img' not in results:
            raise ValueError('LoadImage(on_device=True) left the picture to '
                             "the device; set on_device='crop' in MultiCrop")
        # All views start from this array. A transform that writes into it
        # would spoil the other views; now it raises an error.
        results['img'].flags.writeable = False
        views, plans = [], []
        for pipeline, left, count in zip(self.pipelines, self._left,
                                         self.num_views):
            for _ in range(count):
                views.append(by_planes(pipeline(dict(results))['img']))
                plans.append([one for step in left for one in step.plan()])
        results['img'] = views
        if self.on_device:
            results['view_plans'] = plans
        return results

    def _draw_all(self, results: Results) -> Results:
        """Draw crops and steps; a plan begins with its crop."""
        if 'img_source' not in results:
            raise ValueError("MultiCrop(on_device='crop') needs "
                             'LoadImage(on_device=True) in front')
        results['view_plans'] = [[
            ('crop', *crop.draw_box(*results['img_shape']), crop.size),
            *(one for step in left for one in step.plan())
        ] for crop, left, count in zip(self._crops, self._left, self.num_views)
                                 for _ in range(count)]
        results['img'] = []
        return results

    def __repr__(self) -> str:
        kinds = ', '.join(
            f'{count} x {pipeline}'
            for count, pipeline in zip(self.num_views, self.pipelines))
        return (f'{self.__class__.__name__}({kinds}, '
                f'on_device={self.on_device!r})')
