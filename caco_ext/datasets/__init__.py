"""Data sets, transforms and what keeps their random draws in order."""
from .image_folder import ImageFolder
from .photo_patches import PhotoPatches
from .seeding import EpochSeededSampler
from .transforms import BrokenPictureError, LoadImage, decode_picture

__all__ = [
    'BrokenPictureError', 'EpochSeededSampler', 'ImageFolder', 'LoadImage',
    'PhotoPatches', 'decode_picture'
]
