"""Files that hold many pictures: LMDB, tar, Parquet, Arrow, torchvision."""
from .container import Container, Contents, choose_classes
from .opening import is_container, open_container
from .torchvision_source import TorchvisionSource

__all__ = [
    'Container', 'Contents', 'TorchvisionSource', 'choose_classes',
    'is_container', 'open_container'
]
