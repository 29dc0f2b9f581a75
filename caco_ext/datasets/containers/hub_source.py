"""Data sets of the Hugging Face hub, by the library ``datasets``."""
from typing import Any, List

from caco_ext.utils.extras import import_extra
from .arrow_source import ArrowSource
from .container import Contents, choose_part

PREFIX = 'hf:'


class HubSource(ArrowSource):
    """One part of a data set of the hub, downloaded and cached by its library.

    Args:
        name (str): Name on the hub, such as 'uoft-cs/cifar10', perhaps with
            ':CONFIGURATION' behind it, or a local folder in that layout.
        split (str): 'train', 'val', 'test', '' (for training), or the hub's
            own name of a part.

    Raises:
        FileNotFoundError: There is no such data set, or no network.
        MissingExtraError: ``datasets`` is not installed.
        ValueError: It has no such part.
    """

    def __init__(self, name: str, split: str) -> None:
        super().__init__(PREFIX + name, [])
        self.library: Any = import_extra('datasets', 'hub',
                                         f'The data set {self.root!r}')
        path, _, self.configuration = name.partition(':')
        self.path = path
        parts = self._ask('get_dataset_split_names')
        self.part = choose_part(split, parts, self.root)

    def _ask(self, function: str, **options: Any) -> Any:
        try:
            return getattr(self.library,
                           function)(self.path, self.configuration or None,
                                     **options)
        except (OSError, ValueError) as error:
            raise FileNotFoundError(
                f'{self.root!r} cannot be read ({error}); correct the name, '
                'or download it where there is a network '
                f"(datasets.load_dataset({self.path!r})) and copy the cache"
            ) from error

    def contents(self, with_labels: bool = True) -> Contents:
        """See :meth:`Container.contents`."""
        found = self._ask('load_dataset', split=self.part)
        self.shards: List[str] = [one['filename'] for one in found.cache_files]
        return super().contents(with_labels)

    def __getstate__(self) -> dict:
        return dict(super().__getstate__(), library=None)
