from .color import ViewBlur, ViewGray, ViewJitter, ViewSolarize
from .loading import LoadImage
from .strong_augment import StrongAugment
from .strong_ops import apply_op
from .views import MultiCrop, ViewCrop, ViewFlip

__all__ = [
    'LoadImage', 'MultiCrop', 'StrongAugment', 'ViewBlur', 'ViewCrop',
    'ViewFlip', 'ViewGray', 'ViewJitter', 'ViewSolarize', 'apply_op'
]
