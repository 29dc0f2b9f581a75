"""Data sets, transforms and the seeding of their random draws."""
from .augment_data_preprocessor import AugmentDataPreprocessor
from .image_folder import ImageFolder
from .photo_patches import PhotoPatches
from .pictures import BrokenPictureError, decode_picture, read_picture
from .seeding import EpochSeededSampler
from .torchvision_dataset import TorchvisionDataset
from .transforms import (LoadImage, MultiCrop, StrongAugment, ViewColorJitter,
                         ViewFlip, ViewGaussianBlur, ViewRandomGrayscale,
                         ViewRandomResizedCrop, ViewSolarize, apply_op)
from .view_data_preprocessor import ViewDataPreprocessor

__all__ = [
    'AugmentDataPreprocessor', 'BrokenPictureError', 'EpochSeededSampler',
    'ImageFolder', 'LoadImage', 'MultiCrop', 'PhotoPatches', 'StrongAugment',
    'TorchvisionDataset', 'ViewGaussianBlur', 'ViewRandomResizedCrop',
    'ViewDataPreprocessor', 'ViewFlip', 'ViewRandomGrayscale',
    'ViewColorJitter', 'ViewSolarize', 'apply_op', 'decode_picture',
    'read_picture'
]
