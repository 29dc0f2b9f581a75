"""The views of a config by torchvision on PIL, as the originals make them."""
import random

from PIL import Image, ImageFilter
from torchvision import transforms as tv

from caco_ext.datasets import StrongAugment
from caco_ext.datasets.transforms.strong_ops import OPS, strength

NORMALIZE = dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


def _crop(size, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3)):
    return tv.RandomResizedCrop(size, scale, ratio)


def _jitter(prob=0.8, brightness=.4, contrast=.4, saturation=.4, hue=.1):
    jitter = tv.ColorJitter(brightness, contrast, saturation, hue)
    return tv.RandomApply([jitter], prob)


class _Blur:

    def __init__(self, sigma):
        self.sigma = sigma

    def __call__(self, picture):

        return picture.filter(
            ImageFilter.GaussianBlur(random.uniform(*self.sigma)))


def _blur(prob=0.5, sigma=(0.1, 2.0)):
    return tv.RandomApply([_Blur(sigma)], prob)


class _Strong:

    def __init__(self, **options):
        self.plan = StrongAugment(**options).draw

    def __call__(self, picture):
        for name, magnitude, negative in self.plan():
            picture = OPS[name](picture, strength(name, magnitude, negative))
        return picture


_MAKE = dict(
    ViewRandomResizedCrop=_crop,
    ViewColorJitter=_jitter,
    ViewRandomGrayscale=lambda prob=.2: tv.RandomGrayscale(prob),
    ViewGaussianBlur=_blur,
    ViewFlip=lambda prob=.5: tv.RandomHorizontalFlip(prob),
    ViewSolarize=lambda threshold=128, prob=.2: tv.RandomSolarize(
        threshold, prob),
    StrongAugment=_Strong)


def _steps(views):
    for step in views:
        if isinstance(step, (list, tuple)):
            yield from _steps(step)
        else:
            options = {k: v for k, v in step.items() if k != 'type'}
            options.pop('backend', None)
            yield _MAKE[step['type']](**options)


def reference_pipeline(steps):
    """Build what the originals would run for a config.

    Args:
        steps (list[dict]): The pipeline: ``LoadImage``, ``MultiCrop`` and a
            step that packs.

    Returns:
        Callable: Takes a dict with ``img_path``, returns one with ``inputs``,
        a list of normalised float tensors (3, h, w).
    """
    (multi, ) = [s for s in steps if s['type'] == 'MultiCrop']
    counts = multi['num_views']
    kinds = [
        tv.Compose([*_steps(views),
                    tv.ToTensor(),
                    tv.Normalize(**NORMALIZE)])
        for views in multi['transforms']
    ]

    def load(results):
        with Image.open(results['img_path']) as picture:
            picture = picture.convert('RGB')
        return dict(inputs=[
            kind(picture) for kind, count in zip(kinds, counts)
            for _ in range(count)
        ])

    return load
