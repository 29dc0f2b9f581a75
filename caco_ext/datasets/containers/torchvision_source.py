"""Pictures of torchvision's data sets."""
import inspect
import os.path as osp
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

import cv2
from mmengine.logging import print_log
from PIL import Image

from caco_ext.utils.files import take_turns
from caco_ext.utils.names import nearest_names
from ..picture_samples import rgb_samples
from ..pictures import BrokenPictureError, read_content
from .container import Container, Contents, choose_part
from .torchvision_download import DOWNLOAD_ERRORS, download

PREFIX = 'torchvision:'
# Data sets that torchvision refuses to download, even where they are complete.
_MANUAL = dict(
    StanfordCars='stanford_cars/cars_train, stanford_cars/cars_test, '
    'stanford_cars/devkit and stanford_cars/cars_test_annos_withlabels.mat')
# Where torchvision's classes keep labels, and paths of pictures.
_LABELS = ('targets', '_labels', 'labels', 'y')
_SAMPLES = ('samples', '_samples', 'imgs')
_PATHS = ('_images', '_image_files', 'images', '_image_paths')


def _find_class(name: str) -> type:
    """A class of torchvision.datasets."""
    from torchvision import datasets
    known = {
        one: cls
        for one, cls in vars(datasets).items()
        if inspect.isclass(cls) and issubclass(cls, datasets.VisionDataset)
        and 'root' in inspect.signature(cls).parameters
    }
    found = [one for one in known if one.lower() == name.lower()]
    if not found:
        near = nearest_names(name, known)
        raise ValueError(f'torchvision has no data set {name!r}; ' +
                         (f'nearest: {", ".join(near)}' if near else
                          'torchvision.datasets lists what it has'))
    return known[found[0]]


class TorchvisionSource(Container):
    """One part of a data set of torchvision.

    Args:
        name (str): Class in ``torchvision.datasets``, such as 'CIFAR10'.
        root (str): torchvision's ``root``: where the files are or should go.
        split (str): 'train', 'val', 'test', '' (for training), 'all', or
            what the class itself calls a part, such as 'unlabeled'.
        download (bool): Let torchvision fetch the files if they are missing.
        **options: Further arguments of the class.

    Raises:
        FileNotFoundError: The files are missing and cannot be downloaded.
        ValueError: There is no such data set or part.
    """

    def __init__(self, name: str, root: str, split: str, download: bool,
                 **options: Any) -> None:
        super().__init__(f'{PREFIX}{name}')
        self.name = name
        self.cls = _find_class(name)
        parameters = inspect.signature(self.cls).parameters
        options['root'] = osp.expanduser(root)
        self.download = (
            download and 'download' in parameters
            and self.cls.__name__ not in _MANUAL)
        self.part, chosen = self._choose_part(split, parameters)
        self.options = dict(options, **chosen)

    def _choose_part(self, split: str, parameters: Any) -> Tuple[str, dict]:
        """The part that serves a split: its name, and how to ask for it."""
        if 'train' in parameters and 'split' not in parameters:
            part = choose_part(split, ('train', 'test'), self.root)
            return part, dict(train=part == 'train')
        option = next((o for o in ('split', 'image_set') if o in parameters),
                      None)
        if option is None:
            return '', {}  # one part: ImageFolder holds out a share
        part = choose_part(split, self._known_parts(option), self.root)
        return part, {option: part}

    def _known_parts(self, option: str) -> Sequence[str]:
        """Parts that the class accepts, read from its own error message."""
        try:
            self.cls(root='', **{option: '?'})
        except ValueError as error:
            return sorted(re.findall(r"'([\w+-]+)'", str(error)))
        return ()

    def _build(self) -> Any:
        """Build torchvision's object; one process downloads, others wait."""
        where = osp.abspath(self.options['root'])
        try:
            return self.cls(**self.options)
        except (OSError, RuntimeError) as error:
            if not self.download:
                raise self._missing(where, error) from error
        try:
            with take_turns(osp.join(where, f'.{self.name}.lock')):
                try:
                    return self.cls(**self.options)
                except (OSError, RuntimeError):
                    download(self.cls, self.name, self.options)
            return self.cls(**self.options)
        except DOWNLOAD_ERRORS as error:
            raise self._missing(where, error) from error

    def _missing(self, where: str, error: Exception) -> FileNotFoundError:
        return FileNotFoundError(
            f'{self.root!r} is not in {where!r}, or only a part of it '
            f'({_first_line(error)}); {self._way_out()}')

    def _way_out(self) -> str:
        """What the user can do if the files are missing."""
        manual = _MANUAL.get(self.cls.__name__)
        if manual:
            return f'torchvision cannot fetch it; put there: {manual}'
        again = 'start again' if self.download else 'set download=True'
        return (f'{again} where there is a network, or put there: '
                f'{self._files()}')

    def _files(self) -> str:
        """Name the files that torchvision would download."""
        cls: Any = self.cls
        urls: List[str] = []
        for name in ('url', '_URL', 'urls', 'mirrors', '_URLS', '_ARCHIVES',
                     'split_list', 'download_url_prefix', 'resources'):
            urls += _addresses(getattr(cls, name, None))
        if not urls:
            code = inspect.getsource(cls).replace(cls.__doc__ or '\0', '')
            urls = _addresses(code)
        return ', '.join(dict.fromkeys(urls)) or 'the files of the data set'

    def contents(self, with_labels: bool = True) -> Contents:
        """See :meth:`Container.contents`."""
        self.dataset = self._build()
        size = len(self.dataset)
        paths = [
            f'{self.root}/{self.part or "all"}/{i:06d}' for i in range(size)
        ]
        self._files_of = self._picture_files(size)
        labels = self._labels(size) if with_labels else None
        if labels is None or min(labels, default=-1) < 0:
            return Contents(paths, [-1] * size, [])
        start = min(labels)
        if start:  # labels of StanfordCars and others begin at 1
            labels = [label - start for label in labels]
        return Contents(paths, labels, self._names(max(labels) + 1))

    def _picture_files(self, size: int) -> Optional[List[str]]:
        """Files of the pictures, if the class knows them."""
        for name in _SAMPLES:
            found = _list(getattr(self.dataset, name, None), size)
            if found and isinstance(found[0], (tuple, list)) and osp.isfile(
                    str(found[0][0])):
                return [str(one[0]) for one in found]
        for name in _PATHS:
            found = _list(getattr(self.dataset, name, None), size)
            if found and osp.isfile(str(found[0])):
                return [str(one) for one in found]
        return None

    def _labels(self, size: int) -> Optional[List[int]]:
        for name in _LABELS:
            found = getattr(self.dataset, name, None)
            if found is not None and len(found) == size:
                return _numbers(found)
        for name in _SAMPLES:
            found = _list(getattr(self.dataset, name, None), size)
            if found and isinstance(found[0], (tuple, list)):
                return _numbers([one[1] for one in found])
        print_log(f'reading the labels of {self.root!r} picture by picture',
                  'current')
        return _numbers([self.dataset[i][1] for i in range(size)])

    def _names(self, count: int) -> List[str]:
        for name in ('classes', 'categories', 'wnids'):
            found = getattr(self.dataset, name, None)
            if found is not None and len(found) == count:
                return [
                    one[0] if isinstance(one, tuple) else str(one)
                    for one in found
                ]
        return [str(i) for i in range(count)]

    def files(self) -> List[str]:
        """See :meth:`Container.files`."""
        return self._files_of or []

    def load(self, index: int, name: str) -> Dict[str, Any]:
        """See :meth:`Container.load`."""
        if self._files_of is not None:
            return dict(img_bytes=read_content(self._files_of[index]))
        picture = self.dataset[index][0]
        if not isinstance(picture, Image.Image):
            raise BrokenPictureError(
                name, f'{self.name} gives no picture, '
                f'but {type(picture).__name__}')
        return dict(img=cv2.cvtColor(rgb_samples(picture), cv2.COLOR_RGB2BGR))


def _list(found: Any, size: int) -> list:
    """Return a list if it has ``size`` entries, else an empty one."""
    whole = isinstance(found, (list, tuple)) and len(found) == size
    return list(found) if whole else []


def _numbers(found: Any) -> Optional[List[int]]:
    """Labels as numbers; None if they are not numbers, but boxes say."""
    try:
        return [int(one) for one in found]
    except (TypeError, ValueError):
        return None


def _addresses(found: Any) -> List[str]:
    """All addresses in a class attribute, whatever its form."""
    return re.findall(r'https?://[^\s\'",\)\]}]+', str(found))


def _first_line(error: BaseException) -> str:
    return str(error).partition('\n')[0] or type(error).__name__
