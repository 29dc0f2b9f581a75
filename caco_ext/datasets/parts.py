"""Folders and files that are named after parts of a data set."""
import logging
import os.path as osp
import re
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from mmengine.logging import print_log

from .folders import is_folder, kind_of, list_folder
from .shards import SHARD_KINDS, group_of

# Names of parts, the usual one first.
PART_NAMES = dict(
    train=('train', 'training', 'trainval', 'trn'),
    val=('val', 'valid', 'validation', 'validate', 'dev', 'eval',
         'evaluation'),
    test=('test', 'testing', 'tst'))
# Words without meaning in names of parts: 'train_images', 'Test Data'.
_FILLERS = {
    'data', 'dataset', 'folder', 'image', 'images', 'img', 'imgs', 'part',
    'photos', 'pictures', 'set', 'split'
}
# Parts that can be used for a split, the preferred one first.
_SERVES = {
    '': ('train', ),
    'train': ('train', ),
    'val': ('val', 'test'),
    'test': ('test', 'val')
}
SPLITS = (*_SERVES, 'all')
# A folder, an LMDB file, a list, shards.
_KINDS = ('', '.lmdb', '.txt', *SHARD_KINDS)


def part_of(name: str) -> Tuple[Optional[str], int, Tuple[str, ...]]:
    """Find which part of a data set a name means.

    Args:
        name (str): In any case: 'train', 'Test', 'val2017', 'seg_test'.

    Returns:
        tuple[str | None, int, tuple[str]]: 'train', 'val', 'test' or None;
        the rank of its word, 0 for the usual one; and the other words of the
        name, which the parts of one set share.
    """
    words = re.findall('[A-Z]?[a-z]+|[A-Z]+', name)
    words = [word.lower() for word in words if word.lower() not in _FILLERS]
    found, others = [], []
    for word in words:
        known = [(meaning, spellings.index(plain))
                 for meaning, spellings in PART_NAMES.items()
                 for plain in (word, re.sub('set$', '', word))
                 if plain in spellings]
        found += known[:1]
        others += [] if known else [word]
    if len(found) != 1:
        return None, 0, tuple(words)
    return *found[0], tuple(others)


def is_measured_on(path: str) -> bool:
    """Whether a folder, list or LMDB file is a validation or test part.

    Args:
        path (str): Its path, such as 'set/test' or 'set/val.txt'.

    Returns:
        bool: Whether its own name means only validation or test.
    """
    name = group_of(osp.basename(osp.normpath(path)))
    stem, kind = osp.splitext(name)
    meaning, _, others = part_of(stem if kind.lower() in _KINDS[1:] else name)
    return meaning in ('val', 'test') and not others


def find_parts(names: Iterable[str]) -> Dict[str, List[Tuple[tuple, str]]]:
    """Find the parts of a divided data set among the names in a folder.

    Args:
        names (Iterable[str]): Folders; LMDB files and lists with their ending.

    Returns:
        dict[str, list[tuple]]: Rank and name of the candidates for 'train',
        'val' and 'test', the best first. Empty unless there is a part for
        training and one for validation or test.
    """
    sets: Dict[tuple, dict] = {}
    for name in names:
        stem, kind = osp.splitext(name)
        if kind.lower() not in _KINDS[1:]:
            stem, kind = name, ''
        meaning, rank, others = part_of(stem)
        if meaning:
            sets.setdefault(others, {}).setdefault(meaning, []).append(
                ((rank, _KINDS.index(kind.lower())), name))
    parts: Dict[str, list] = {}
    for found in sets.values():
        if 'train' in found and len(found) > 1:
            for meaning, ranked in found.items():
                parts[meaning] = sorted(parts.get(meaning, []) + ranked)
    return parts


def part_folders(names: Sequence[str]) -> List[str]:
    """Find the names of classes that are names of parts.

    Args:
        names (Sequence[str]): Class names.

    Returns:
        list[str]: Those that mean a part. A 'train' without other parts is a
        vehicle and not one of them.
    """
    paired = {
        name
        for ranked in find_parts(names).values()
        for _, name in ranked
    }
    found = [
        name for name in names
        if name in paired or part_of(name)[0] and not part_of(name)[2]
    ]
    if [name.lower() for name in found] == ['train'] and len(names) > 2:
        return []
    return found


def refuse_parts(folder: str, names: Sequence[str]) -> None:
    """Refuse a folder that holds the parts of a data set.

    Args:
        folder (str): A folder.
        names (Sequence[str]): The folders in it.

    Raises:
        ValueError: They are the parts of a data set.
    """
    parts = sorted(n for found in find_parts(names).values() for _, n in found)
    if parts:
        raise ValueError(
            f'{folder!r} holds the parts {", ".join(parts)} of a data set, '
            'which must not be mixed: take one of these folders, or let '
            f"ImageFolder choose by data_root={folder!r} and split='train', "
            "'val' or 'test' (split='all' takes everything, without labels)")


def locate_split(root: str, split: str) -> Tuple[str, bool]:
    """Find the part of a root for a split.

    A folder ``train`` without other parts may be a class, so it is not a
    part.

    Args:
        root (str): The root.
        split (str): '' (the training part), 'train', 'val', 'test', or 'all'
            (the whole root).

    Returns:
        tuple[str, bool]: Path of the part and True, or the root itself and
        False if it has no parts.

    Raises:
        ValueError: Several parts fit equally well.
    """
    if split not in _SERVES or not osp.isdir(root):
        return root, False
    parts = find_parts({
        group_of(entry.name)
        for entry in list_folder(root)
        # A part on a missing disk is reported when it is read.
        if entry.name.lower().endswith(_KINDS[1:]) or is_folder(entry)
        or kind_of(entry) == 'dead link'
    })
    if not parts:
        return root, False
    ranked = next(parts[m] for m in _SERVES[split] if m in parts)
    if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
        raise ValueError(
            f'{root!r} has several parts for split={split!r}, '
            f'{ranked[0][1]!r} and {ranked[1][1]!r}; set data_root to one of '
            'them')
    path = osp.join(root, ranked[0][1])
    everything = "; split='all' takes everything" if not split else ''
    print_log(
        f'{root!r} is divided into parts: split={split!r} takes '
        f'{path!r}{everything}', 'current')
    return path, True


def check_classes(names: Sequence[str], paths: Sequence[str],
                  root: str) -> None:
    """Refuse classes that are parts of a data set.

    Args:
        names (Sequence[str]): Class names, taken from folders.
        paths (Sequence[str]): Paths of the pictures.
        root (str): Folder that holds the class folders.

    Raises:
        ValueError: Some are named like parts, and the user has not set them
            as ``classes``.
    """
    found = part_folders(names)
    vehicle = [] if found else [n for n in names if n.lower() == 'train']
    for name in vehicle:
        folder = osp.join(root, name)
        if all(
                osp.dirname(p) == folder for p in paths
                if p.startswith(folder + osp.sep)):
            print_log(f'{folder!r} is taken for a class, not for a part',
                      'current', logging.WARNING)
        else:
            found = vehicle
    if found:
        raise ValueError(
            f'the folder(s) {", ".join(map(repr, sorted(found)))} of {root!r} '
            'are named like parts of a data set, not like classes; set '
            'data_root to one of them or, if they are classes, name all '
            'classes with the option classes')
