from .color import (ViewColorJitter, ViewGaussianBlur, ViewRandomGrayscale,
                    ViewSolarize)
from .loading import LoadImage
from .strong_augment import StrongAugment
from .strong_ops import apply_op
from .views import MultiCrop, ViewFlip, ViewRandomResizedCrop

__all__ = [
    'LoadImage', 'MultiCrop', 'StrongAugment', 'ViewGaussianBlur',
    'ViewRandomResizedCrop', 'ViewFlip', 'ViewRandomGrayscale',
    'ViewColorJitter', 'ViewSolarize', 'apply_op'
]
