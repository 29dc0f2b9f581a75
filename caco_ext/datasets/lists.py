"""Read text lists of pictures, and of class names."""
import logging
import os
import os.path as osp
import re
from collections import Counter
from typing import Dict, List, Optional, Sequence, Set, Tuple, Union

from mmengine.logging import print_log

from .formats import EXTENSIONS
from .sources import Source

# Larger numbers are picture numbers, times or dates, not classes.
MAX_LABEL = 99_999_999
# A path may contain blanks itself.
_LABELLED = re.compile(r'(.*\S)[ \t]+([0-9]{1,18})')
# Looks like a line with a malformed label, or with columns of another format.
_COLUMN = re.compile(r'(.*[^\s,;])[\s,;]+(\S+)')
# Tiny-ImageNet's labels of its validation part.
ANNOTATIONS = 'val_annotations.txt'
_UTF16_MARKS = (b'\xff\xfe', b'\xfe\xff')


def read_lines(path: str, what: str, way_out: str) -> List[str]:
    """Read all lines of a text file, with or without a byte order mark.

    Args:
        path (str): The file.
        what (str): What it should be, for messages.
        way_out (str): What to do about an error.

    Returns:
        list[str]: Lines without blanks around them.

    Raises:
        FileNotFoundError: It cannot be read.
        ValueError: It is no UTF-8 text.
    """
    if osp.exists(path) and not osp.isfile(path):
        raise FileNotFoundError(
            f'the {what} {path!r} is no regular file; {way_out}')
    try:
        with open(path, 'rb') as file:
            start = file.read(4096)
        # Checked first: an endless line would take all memory.
        if start.startswith(_UTF16_MARKS) or b'\0' in start:
            raise ValueError(
                f'the {what} {path!r} is not a UTF-8 text file, but perhaps '
                f'one in UTF-16; {way_out}')
        with open(path, encoding='utf-8-sig') as file:
            return [line.strip() for line in file]
    except OSError as error:
        raise FileNotFoundError(f'the {what} {path!r} cannot be read '
                                f'({error.strerror}); {way_out}') from error
    except UnicodeDecodeError as error:
        raise ValueError(f'the {what} {path!r} is not a UTF-8 text file; '
                         f'{way_out}') from error


def read_classes(
        classes: Union[None, str, Sequence[str]]) -> Optional[List[str]]:
    """Read the names of classes.

    Args:
        classes (str | Sequence[str], optional): The names, or a text file
            with one name per line.

    Returns:
        list[str] | None: The names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A name occurs twice, or there is none.
    """
    if classes is None:
        return None
    if isinstance(classes, str):
        path = osp.expanduser(classes)
        lines = read_lines(
            path, 'list of classes',
            'set the option classes to names, or a text file with one a line')
        names = list(filter(None, lines))
    else:
        names = [str(name) for name in classes]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or not names:
        raise ValueError(f'the option classes ({classes!r}) ' + (
            f'names {twice[0]!r} twice' if twice else 'names no class'))
    return names


def _split_line(line: str, extensions: Tuple[str, ...]) -> Tuple[str, int]:
    """Split a line into path, which may contain blanks, and label (or -1)."""
    if line.lower().endswith(extensions):
        return line, -1
    found = _LABELLED.fullmatch(line)
    return (found[1], int(found[2])) if found else (line, -1)


class _Existence:
    """Whether regular files exist, from one listing per folder.

    On a network disk a million single look-ups take minutes, which listing
    the folders does not. A link counts as existing; reading it will show
    whether its target exists.
    """

    def __init__(self) -> None:
        self._names: Dict[str, Set[str]] = {}

    def __contains__(self, path: str) -> bool:
        folder, name = osp.split(path)
        if folder not in self._names:
            try:
                with os.scandir(folder or '.') as found:
                    self._names[folder] = {
                        e.name
                        for e in found if e.is_symlink() or e.is_file()
                    }
            except OSError:
                self._names[folder] = set()
        return name in self._names[folder]


def read_list(list_file: str,
              folder: str,
              extensions: Sequence[str] = EXTENSIONS,
              with_labels: Optional[bool] = None,
              classes: Optional[Sequence[str]] = None) -> Source:
    """Read a text file with a line 'path' or 'path label' per picture.

    Labels with gaps are renumbered from 0, in the same order. The class names
    are then the numbers in the list.

    Args:
        list_file (str): The text file.
        folder (str): Base folder of relative paths.
        extensions (Sequence[str]): Lower-case endings of picture files. They
            distinguish a label from a path that ends in a number.
        with_labels (bool, optional): True demands labels, False ignores them,
            None uses them if there are any. Defaults to None.
        classes (Sequence[str], optional): Names of the labels 0, 1, ....
            Defaults to None (the numbers).

    Returns:
        tuple[list[str], list[int], list[str]]: Paths, labels (-1: none) and
        class names.

    Raises:
        FileNotFoundError: If the list is missing or a line names no file.
        ValueError: If only some of the lines have a label, or a label has no
            name in ``classes`` or is far too large.
    """
    lines = read_lines(
        list_file, 'image list', 'set ann_file, or data_root, to a UTF-8 text '
        "file with a line 'path' or 'path label' per picture")
    extensions = tuple(extensions)
    paths, labels, numbers = [], [], []
    exists = _Existence()
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        name, label = _split_line(line, extensions)
        path = osp.join(folder, name)
        if path not in exists:
            column = _COLUMN.fullmatch(line)
            if column and osp.join(folder, column[1]) in exists:
                raise ValueError(
                    f'line {number} of {list_file!r} has {column[2]!r} '
                    f'behind {column[1]!r}; write a label as a whole number '
                    'from 0 on, behind a blank or a tab')
            raise FileNotFoundError(
                f'line {number} of {list_file!r} names {name!r}, and there '
                f'is no file {path!r}; paths are relative to '
                f'{folder or os.getcwd()!r} (data_root and data_prefix)')
        paths.append(path)
        labels.append(label)
        numbers.append(number)
    again = len(paths) - len(set(paths))
    if again:
        first = {path: i for i, path in reversed(list(enumerate(paths)))}
        place = next(i for i, path in enumerate(paths) if first[path] < i)
        print_log(
            f'{again} line(s) of {list_file!r} name a picture that it has '
            f'already, line {numbers[place]} first ({paths[place]!r}); such '
            'a picture counts several times', 'current', logging.WARNING)
    if with_labels is False or not paths:
        return paths, [-1] * len(paths), []
    bare = [n for n, label in zip(numbers, labels) if label < 0]
    if bare and (with_labels or len(bare) < len(labels)):
        raise ValueError(
            f'line {bare[0]} of {list_file!r} has no label; write '
            "'path label' in every line, or set with_labels=False")
    if bare:
        return paths, labels, list(classes or [])
    largest = max(labels)
    if classes is not None:
        if largest >= len(classes):
            raise ValueError(
                f'{list_file!r} has the label {largest}, but the option '
                f'classes has {len(classes)} names only')
        return paths, labels, list(classes)
    if largest > MAX_LABEL:
        raise ValueError(
            f'line {numbers[labels.index(largest)]} of {list_file!r} ends in '
            f'{largest}, which is no label of a class; number the classes '
            'from 0, or set with_labels=False')
    return paths, *close_gaps(labels, list_file)


def read_annotations(folder: str) -> Source:
    """Read the labels of Tiny-ImageNet's validation part.

    Args:
        folder (str): Holds ``val_annotations.txt``, with lines of a picture,
            its class and a box, and the pictures in ``images``.

    Returns:
        tuple[list[str], list[int], list[str]]: Paths, labels and class names.

    Raises:
        ValueError: A line has no class.
    """
    list_file = osp.join(folder, ANNOTATIONS)
    lines = read_lines(list_file, 'list of annotations',
                       'copy the data set again')
    rows = [line.split('\t') for line in lines if line]
    bad = [row for row in rows if len(row) < 2]
    if bad:
        raise ValueError(f'a line of {list_file!r} has no class ({bad[0]}); '
                         'copy the data set again')
    names = sorted({row[1] for row in rows})
    place = {name: label for label, name in enumerate(names)}
    inner = osp.join(folder, 'images')
    base = inner if osp.isdir(inner) else folder
    return ([osp.join(base, row[0])
             for row in rows], [place[row[1]] for row in rows], names)


def close_gaps(labels: List[int],
               list_file: str) -> Tuple[List[int], List[str]]:
    """Renumber labels from 0, and name them by their old numbers.

    Args:
        labels (list[int]): Labels, 0 or more, (N, ).
        list_file (str): File of the labels, for messages.

    Returns:
        tuple[list[int], list[str]]: New labels (N, ), and the old number of
        each new label.
    """
    known = sorted(set(labels))
    if known[-1] >= len(known):
        print_log(
            f'the {len(known)} labels of {list_file!r} lie between {known[0]} '
            f'and {known[-1]}; they are numbered anew from 0, and keep these '
            'numbers as names of their classes', 'current', logging.WARNING)
    place = {label: i for i, label in enumerate(known)}
    return [place[label] for label in labels], [str(label) for label in known]
