"""Files that hold many pictures: LMDB, tar, Parquet, Arrow, torchvision."""
from .container import Container, Contents, choose_classes
from .shards import SHARD_KINDS, group_of, kind_of_shards

__all__ = [
    'SHARD_KINDS', 'Container', 'Contents', 'choose_classes', 'group_of',
    'kind_of_shards'
]
