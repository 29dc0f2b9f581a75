"""Data sets of torchvision in this package's pipelines."""
from typing import Any

from mmengine.registry import DATASETS

from .containers import Container, TorchvisionSource
from .image_folder import ImageFolder


@DATASETS.register_module()
class TorchvisionDataset(ImageFolder):
    """One of torchvision's data sets, with this package's pipeline.

    With the default options, ``ImageFolder(data_root='torchvision:CIFAR10')``
    does the same. Seeding, broken pictures, classes and exact resume work as
    in :class:`ImageFolder`.

    Args:
        name (str): Class in ``torchvision.datasets``, such as 'CIFAR10'.
        root (str): Where the files are or should go. Defaults to 'data'.
        split (str): 'train', 'val' (else test), 'test' (else val), '' (for
            training), or torchvision's own name of a part, such as
            'unlabeled' of STL10. Defaults to ''.
        download (bool): Let torchvision fetch missing files. Defaults to
            False.
        options (dict, optional): Further arguments of torchvision's class,
            such as ``dict(size='160px')`` of Imagenette. Defaults to None.
        **kwargs: Arguments of :class:`ImageFolder` (``pipeline``,
            ``fraction``, ``val_share``, ``classes``, ...).

    Raises:
        FileNotFoundError: Files are missing. Says which to put where.
        ValueError: There is no such data set or part.

    Example:
        >>> data = TorchvisionDataset(
        ...     'CIFAR10', root='data', split='train', download=True,
        ...     pipeline=[dict(type='LoadImage')])
    """

    def __init__(self,
                 name: str,
                 root: str = 'data',
                 split: str = '',
                 download: bool = False,
                 options: Any = None,
                 **kwargs: Any) -> None:
        if 'data_root' in kwargs:
            raise ValueError(
                f'TorchvisionDataset takes name={name!r} and root, not '
                f"data_root={kwargs['data_root']!r}; in a config that "
                f"inherits, set data_root='torchvision:{name}' of ImageFolder")
        self.source = dict(
            name=name, root=root, download=download, **(options or {}))
        super().__init__(f'torchvision:{name}', split=split, **kwargs)

    def _open(self, root: str, split: str) -> Container:
        return TorchvisionSource(split=split, **self.source)
