"""Read the pictures of a folder.

Like :func:`.lists.read_list`, :func:`scan_folder` returns paths, labels (-1
where there is none) and class names.
"""
import logging
import os
import os.path as osp
from collections import Counter
from typing import Iterator, List, Optional, Sequence, Set, Tuple

from mmengine.logging import print_log

from caco_ext.utils.text import first_of
from .folders import inner_folder, is_folder, kind_of, list_folder
from .formats import EXTENSIONS
from .parts import check_classes, part_of, refuse_parts

Source = Tuple[List[str], List[int], List[str]]


class _Scan:
    """Finds pictures and counts all other files.

    Args:
        extensions (tuple[str]): Lower-case endings of picture files.
        divided (bool): Whether folders may hold the parts of a data set.
    """

    def __init__(self, extensions: Sequence[str], divided: bool) -> None:
        self.extensions = tuple(extensions)
        self.divided = divided
        self.skipped: Counter = Counter()

    def is_picture(self, entry: os.DirEntry) -> bool:
        """Whether a file is a picture; count it as skipped if not."""
        kind = kind_of(entry)
        named = entry.name.lower().endswith(self.extensions)
        # A dead link stays in; it is later reported as a broken picture.
        if named and kind in ('file', 'dead link'):
            return True
        if kind == 'file':
            kind = osp.splitext(entry.name)[1].lower() or 'without ending'
        self.skipped[kind] += 1
        return False

    def pictures(self, folder: str) -> Iterator[str]:
        """Yield the paths of all pictures under a folder, in sorted order."""
        # Without recursion, which fails a thousand folders deep.
        real = osp.realpath(folder)
        way = [(iter(self._list(folder)), real)]
        while way:
            entries, real = way[-1]
            entry = next(entries, None)
            if entry is None:
                way.pop()
            elif is_folder(entry):
                target = osp.realpath(entry.path) if entry.is_symlink() \
                    else osp.join(real, entry.name)
                if any(target == above for _, above in way):
                    raise ValueError(
                        f'{entry.path!r} is a symbolic link to a folder above '
                        f'it ({target!r}); remove the link')
                way.append((iter(self._list(entry.path)), target))
            elif self.is_picture(entry):
                yield entry.path

    def _list(self, folder: str) -> List[os.DirEntry]:
        entries = list_folder(folder)
        if not self.divided:
            refuse_parts(folder, [e.name for e in entries if is_folder(e)])
        return entries

    def report(self, folder: str) -> None:
        """Log once what was skipped."""
        if self.skipped:
            kinds = ', '.join(f'{kind} {count}'
                              for kind, count in self.skipped.most_common(10))
            print_log(
                f'skipped {sum(self.skipped.values())} files of {folder!r} '
                f'that are no pictures: {kinds}', 'current')


def _demand_classes(folder: str, names: List[str], loose: List[str]) -> None:
    """Refuse a folder without the demanded labels."""
    if loose and names:
        raise ValueError(
            f'{len(loose)} picture(s), {loose[0]!r} first, lie beside the '
            f'class folders of {folder!r}; move them into a class folder or '
            'set with_labels=False')
    if not names:
        raise ValueError(
            f'labels were asked for, but {folder!r} has no class folders; '
            'put the pictures of each class into a subfolder, set '
            'with_labels=False, or leave out what needs labels '
            '(kNN: default_hooks.knn=None)')


def _warn_of_single_class(folder: str, name: str, with_labels: Optional[bool],
                          extensions: Sequence[str]) -> None:
    """Warn of a single class folder, and suggest where the classes are."""
    inner = inner_folder(osp.join(folder, name))
    entries = list_folder(inner)
    text = f'{folder!r} has one class folder alone, {name!r}'
    if any(map(is_folder, entries)) and not any(
            e.name.lower().endswith(extensions) and not is_folder(e)
            for e in entries):
        text += ('; the class folders seem to be those of '
                 f'{inner!r}: set data_root to it')
        if with_labels:
            raise ValueError(text)
    print_log(text, 'current', logging.WARNING)


def _warn_of_hidden_parts(folder: str, names: List[str]) -> None:
    """Warn if all classes hold folders of the same names: maybe parts."""
    inner: Set[str] = set()
    for name in names:
        found = {
            entry.name
            for entry in list_folder(osp.join(folder, name))
            if is_folder(entry)
        }
        if len(found) < 2 or inner and inner != found:
            return
        inner = found
    print_log(
        f'the classes of {folder!r} ({first_of(names, 5)}) all hold the '
        f'folders {first_of(sorted(inner), 5)}; if they are parts of a data '
        'set and those its classes, set data_root to one part', 'current',
        logging.WARNING)


def find_pictures(folder: str,
                  extensions: Sequence[str] = EXTENSIONS) -> List[str]:
    """Find all pictures under a folder.

    Hidden files and folders are skipped, symbolic links are followed.

    Args:
        folder (str): Where to look.
        extensions (Sequence[str]): Lower-case endings of picture files.

    Returns:
        list[str]: Sorted paths, each beginning with ``folder``.

    Raises:
        ValueError: See :func:`scan_folder`.
    """
    return list(_Scan(extensions, divided=True).pictures(folder))


def scan_folder(folder: str,
                extensions: Sequence[str] = EXTENSIONS,
                with_labels: Optional[bool] = None,
                classes: Optional[Sequence[str]] = None,
                divided: bool = False) -> Source:
    """Read a folder whose subfolders may be classes.

    Args:
        folder (str): The folder.
        extensions (Sequence[str]): Lower-case endings of picture files.
        with_labels (bool, optional): With True subfolders must be classes,
            with False they are not. With None they are, unless a single one
            lies beside pictures. Defaults to None.
        classes (Sequence[str], optional): The class folders to use, in label
            order. Defaults to None (all, sorted).
        divided (bool): Whether the folder, or one below, may hold the parts of
            a data set. Defaults to False.

    Returns:
        tuple[list[str], list[int], list[str]]: Paths, labels (-1: none) and
        class names.

    Raises:
        FileNotFoundError: If the folder or one of ``classes`` is missing.
        ValueError: If the folder does not have the demanded labels, classes
            are named like parts of a data set, or something cannot be read.
    """
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'the picture folder {folder!r} does not exist (working '
            f'directory {os.getcwd()!r}); set data_root to an existing folder')
    scan = _Scan(extensions, divided)
    names, loose = [], []
    for entry in list_folder(folder):
        if is_folder(entry):
            names.append(entry.name)
        elif scan.is_picture(entry):
            loose.append(entry.path)
    if classes is None and not loose and len(names) == 1 and part_of(
            names[0])[0::2] == ('train', ()):
        part = osp.join(folder, names[0])
        print_log(
            f'{folder!r} holds its part for training alone: taking '
            f'{part!r}', 'current')
        return scan_folder(part, extensions, with_labels, None, divided)
    if classes is None and not divided:
        refuse_parts(folder, names)
    if with_labels or (classes is not None and with_labels is None):
        _demand_classes(folder, names, loose)
    if with_labels is False or (loose and len(names) < 2):
        names = []
    if not names:
        scan.skipped.clear()  # the whole folder is scanned again
        paths = list(scan.pictures(folder))
        scan.report(folder)
        return paths, [-1] * len(paths), []

    if classes is not None:
        missing = [name for name in classes if name not in names]
        if missing:
            wanted, there = (
                first_of(map(repr, some), 5) for some in (missing, names))
            raise FileNotFoundError(
                f'no folder for the classes {wanted} in {folder!r}, which has '
                f'{there}; correct the option classes')
        names = list(classes)
    elif len(names) == 1:
        _warn_of_single_class(folder, names[0], with_labels, scan.extensions)
    else:
        _warn_of_hidden_parts(folder, names)
    paths, labels = [], []
    for label, name in enumerate(names):
        found = list(scan.pictures(osp.join(folder, name)))
        paths += found
        labels += [label] * len(found)
    if classes is None:
        check_classes(names, paths, folder)
    scan.report(folder)
    if loose:
        print_log(
            f'{len(loose)} picture(s), {loose[0]!r} first, lie beside '
            f'class folders of {folder!r} and have no label; move them into '
            'a class folder, or set with_labels=False to do without labels',
            'current', logging.WARNING)
    return paths + loose, labels + [-1] * len(loose), names
