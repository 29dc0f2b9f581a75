"""Files that hold many pictures: LMDB, tar, Parquet, Arrow, torchvision."""
from .container import Container, Contents, choose_classes
from .opening import open_container
from .torchvision_source import PREFIX as TORCHVISION
from .torchvision_source import TorchvisionSource

__all__ = [
    'TORCHVISION', 'Container', 'Contents', 'TorchvisionSource',
    'choose_classes', 'open_container'
]
