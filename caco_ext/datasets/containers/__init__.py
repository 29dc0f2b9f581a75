"""Files that hold many pictures: LMDB, tar, Parquet, Arrow, torchvision."""
from .container import Container, Contents, choose_classes
from .opening import open_container

__all__ = ['Container', 'Contents', 'choose_classes', 'open_container']
