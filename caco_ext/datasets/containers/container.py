"""Base class for files that hold many pictures."""
import re
from abc import ABC, abstractmethod
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from mmengine.logging import print_log

from caco_ext.utils.text import first_of
from ..lists import MAX_LABEL, close_gaps


class Contents(NamedTuple):
    """The pictures of a container.

    Attributes:
        paths (list[str]): A name for each picture, for messages.
        labels (list[int]): From 0 on; -1 without a label.
        names (list[str]): Names of the classes.
    """
    paths: List[str]
    labels: List[int]
    names: List[str]


class Container(ABC):
    """Pictures in files that hold many, for any number of loader workers.

    A pickled or copied object holds no open file. Each process opens the
    files that it reads.

    Args:
        root (str): Where the pictures are, as the user names it.
    """

    # Which part of a data set this is; '' if it is all of it, or unknown.
    part = ''

    def __init__(self, root: str) -> None:
        self.root = root

    @abstractmethod
    def contents(self, with_labels: bool = True) -> Contents:
        """Read the table of contents.

        Args:
            with_labels (bool): Look for labels. Without, faults of labels do
                not matter. Defaults to True.

        Returns:
            Contents: The pictures.

        Raises:
            ValueError: A file is damaged or holds no pictures.
        """

    @abstractmethod
    def files(self) -> List[str]:
        """Local files that hold the pictures, to detect changes."""

    @abstractmethod
    def load(self, index: int, name: str) -> Dict[str, Any]:
        """Input of a pipeline for one picture.

        Args:
            index (int): Index of the picture in :meth:`contents`.
            name (str): Its path there, for messages.

        Returns:
            dict: ``img_bytes``, a file's content, or ``img``, (H, W, 3)
            uint8 in BGR.

        Raises:
            BrokenPictureError: The picture cannot be read.
        """


# What a data set may call the part of ours, the best first.
_PARTS = {
    '': ('train', 'trainval'),
    'train': ('train', 'trainval'),
    'val': ('val', 'validation', 'valid', 'test'),
    'test': ('test', 'val', 'validation', 'valid'),
}


def choose_part(split: str, known: Sequence[str], root: str) -> str:
    """The part that serves a split.

    Args:
        split (str): 'train', 'val', 'test', '' (for training), or the name of
            a part.
        known (Sequence[str]): Names of the parts.
        root (str): For messages.

    Returns:
        str: One of ``known``.

    Raises:
        ValueError: None serves it.
    """
    for part in _PARTS.get(split, (split, )):
        if part in known:
            return part
    raise ValueError(f'{root!r} has no part {split!r}; it has '
                     f'{", ".join(map(repr, known))}')


def label_text(value: Any) -> Optional[str]:
    """Text of a label.

    Args:
        value (Any): What stands with a picture.

    Returns:
        str | None: None for what is no single class: nothing, -1, a list.
    """
    if not isinstance(value, (str, int, float)) or value in ('', '-1', -1):
        return None
    return str(value)


def number_labels(texts: Sequence[Optional[str]], root: str,
                  captions: bool) -> Contents:
    """Turn the texts that come with the pictures into classes.

    Args:
        texts (Sequence[str | None]): The text of each picture, or None.
        root (str): Path of the data, for messages.
        captions (bool): Whether the texts may be captions. Then they are
            classes only if they are numbers or repeat often.

    Returns:
        Contents: Without paths.

    Raises:
        ValueError: Some pictures have a label and some have none.
    """
    known = [text for text in texts if text is not None]
    if not known or captions and not _are_classes(known):
        return Contents([], [-1] * len(texts), [])
    if len(known) < len(texts):
        raise ValueError(
            f'{len(texts) - len(known)} of the {len(texts)} pictures of '
            f'{root!r} have no label; give each one, or set '
            'with_labels=False')
    if all(re.fullmatch(r'\d{1,18}', text) for text in known):
        numbers = [int(text) for text in known]
        if max(numbers) > MAX_LABEL:
            raise ValueError(f'{root!r} has the label {max(numbers)}, which '
                             'is no number of a class; set with_labels=False')
        return Contents([], *close_gaps(numbers, root))
    names = sorted(set(known))
    place = {name: i for i, name in enumerate(names)}
    return Contents([], [place[text] for text in known], names)


def _are_classes(texts: Sequence[str]) -> bool:
    """Whether texts repeat, like classes, or differ, like captions."""
    return all(re.fullmatch(r'\d{1,18}', text)
               for text in texts) or 2 * len(set(texts)) <= len(texts)


def choose_classes(contents: Contents, root: str, with_labels: Optional[bool],
                   classes: Optional[Sequence[str]]) -> Contents:
    """Apply the options ``with_labels`` and ``classes``.

    Args:
        contents (Contents): What the container holds.
        root (str): Path of the data, for messages.
        with_labels (bool, optional): True demands labels, False ignores them.
        classes (Sequence[str], optional): If the container has classes of all
            these names: the classes to use, in label order. Otherwise: names
            for its labels.

    Returns:
        Contents: Pictures that are not used have the label -2.

    Raises:
        ValueError: There are no labels, or ``classes`` do not fit them.
    """
    paths, labels, names = contents
    if with_labels is False:
        return Contents(paths, [-1] * len(paths), [])
    if (with_labels or classes is not None) and not names or (with_labels and
                                                              min(labels) < 0):
        raise ValueError(f'{root!r} has no labels; set with_labels=False, or '
                         'leave out what needs labels (kNN: '
                         'default_hooks.knn=None)')
    if classes is None:
        return contents
    unknown = [name for name in classes if name not in names]
    if not unknown:
        place = {names.index(name): i for i, name in enumerate(classes)}
        labels = [place.get(label, -2) for label in labels]
        print_log(
            f'{root!r}: classes takes {len(classes)} of its {len(names)} '
            f'classes, {sum(label >= 0 for label in labels)} of its '
            f'{len(labels)} pictures', 'current')
        return Contents(paths, labels, list(classes))
    if len(classes) == len(names) and len(unknown) == len(classes):
        return Contents(paths, labels, list(classes))
    raise ValueError(
        f'{root!r} has {len(names)} classes ({first_of(names, 5)}), and '
        f'{len(unknown)} of the {len(classes)} names of the option classes '
        f'are none of them ({first_of(unknown, 5)}); correct classes')
