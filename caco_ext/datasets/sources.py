"""Where pictures come from: folders and text lists.

Each function returns three things of equal meaning for every source: paths,
labels (-1 where there is none) and class names.
"""
import os
import os.path as osp

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff',
              '.ppm', '.pgm', '.gif')


def _entries(folder):
    """Visible entries of a folder, sorted by name."""
    with os.scandir(folder) as found:
        return sorted((e for e in found if not e.name.startswith('.')),
                      key=lambda e: e.name)


def _walk(folder, extensions, real, above=()):
    """Yield the paths of all pictures under a folder, in sorted order.

    Args:
        folder (str): Where to look.
        extensions (tuple[str]): Lower-case endings of picture files.
        real (str): The folder's path with symbolic links resolved.
        above (tuple[str]): The same of the folders above.

    Yields:
        str: Path of a picture.

    Raises:
        ValueError: If a symbolic link leads back to a folder above it.
    """
    chain = (*above, real)
    for entry in _entries(folder):
        if entry.is_dir():
            target = osp.realpath(entry.path) if entry.is_symlink() \
                else osp.join(real, entry.name)
            if target in chain:
                raise ValueError(
                    f'{entry.path!r} is a symbolic link to a folder above it '
                    f'({target!r}); remove the link')
            yield from _walk(entry.path, extensions, target, chain)
        elif entry.name.lower().endswith(extensions):
            # a dangling link is kept: it is reported as a broken picture
            yield entry.path


def find_pictures(folder, extensions=EXTENSIONS):
    """Find all pictures under a folder.

    Hidden files and folders are skipped, symbolic links are followed.

    Args:
        folder (str): Where to look.
        extensions (tuple[str]): Lower-case endings of picture files.

    Returns:
        list[str]: Sorted paths, each beginning with ``folder``.
    """
    return list(_walk(folder, extensions, osp.realpath(folder)))


def scan_folder(folder, extensions=EXTENSIONS, with_labels=None, classes=None):
    """Read a folder; its subfolders are classes unless told otherwise.

    Args:
        folder (str): The folder.
        extensions (tuple[str]): Lower-case endings of picture files.
        with_labels (bool, optional): True demands class folders, False takes
            subfolders as mere folders, None finds out: class folders when
            there are subfolders and no picture lies beside them. Defaults to
            None.
        classes (Sequence[str], optional): The class folders to use, in label
            order. Defaults to None (all, sorted).

    Returns:
        tuple[list[str], list[int], list[str]]: Paths, labels (-1: none) and
        class names.

    Raises:
        FileNotFoundError: If the folder or one of ``classes`` is missing.
        ValueError: If the layout does not have the labels asked for.
    """
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'the picture folder {folder!r} does not exist (working '
            f'directory {os.getcwd()!r}); set data_root to an existing folder')
    entries = _entries(folder)
    loose = [
        e.path for e in entries
        if e.name.lower().endswith(extensions) and not e.is_dir()
    ]
    names = [e.name for e in entries if e.is_dir()]
    demanded = with_labels or (classes is not None and with_labels is None)
    if demanded and loose and names:
        raise ValueError(
            f'{len(loose)} pictures, {loose[0]!r} first, lie beside the class '
            f'folders of {folder!r}; move them into a class folder or set '
            'with_labels=False')
    if demanded and not names:
        raise ValueError(
            f'labels were asked for, but {folder!r} has no class folders; '
            'put the pictures of each class into a subfolder, or set '
            'with_labels=False')
    if with_labels is False or loose:
        names = []
    if not names:
        paths = find_pictures(folder, extensions)
        return paths, [-1] * len(paths), []

    if classes is not None:
        missing = [name for name in classes if name not in names]
        if missing:
            raise FileNotFoundError(
                f'no folder for the classes {missing[:5]} in {folder!r}, '
                f'which has {names[:5]}...; correct the option classes')
        names = list(classes)
    paths, labels = [], []
    for label, name in enumerate(names):
        found = find_pictures(osp.join(folder, name), extensions)
        paths += found
        labels += [label] * len(found)
    return paths, labels, names


def _split_line(line, extensions):
    """Split a line into path and label; a path may hold blanks.

    Args:
        line (str): 'path' or 'path label'.
        extensions (tuple[str]): Lower-case endings of picture files.

    Returns:
        tuple[str, int]: Path and label, -1 where the line has none.
    """
    if line.lower().endswith(extensions):
        return line, -1
    path, _, label = line.rpartition(' ') if ' ' in line \
        else line.rpartition('\t')
    if path.strip() and label.isdigit():
        return path.rstrip(), int(label)
    return line, -1


class _Existence:
    """Whether files exist, from one listing per folder.

    A million single look-ups take minutes on a network disk; reading the
    folders that hold the files takes as long as scanning them.
    """

    def __init__(self):
        self._names = {}

    def __contains__(self, path):
        folder, name = osp.split(path)
        if folder not in self._names:
            try:
                self._names[folder] = set(os.listdir(folder or '.'))
            except OSError:
                self._names[folder] = set()
        return name in self._names[folder]


def read_list(list_file,
              folder,
              extensions=EXTENSIONS,
              with_labels=None,
              classes=None):
    """Read a text file with a line 'path' or 'path label' per picture.

    Args:
        list_file (str): The text file.
        folder (str): What relative paths are relative to.
        extensions (tuple[str]): Lower-case endings of picture files; they
            tell a label from a path that ends in a number.
        with_labels (bool, optional): True demands labels, False ignores them,
            None takes what is there. Defaults to None.
        classes (Sequence[str], optional): Names of the labels. Defaults to
            None (the numbers).

    Returns:
        tuple[list[str], list[int], list[str]]: Paths, labels (-1: none) and
        class names.

    Raises:
        FileNotFoundError: If the list is missing or a line names no file.
        ValueError: If only some of the lines have a label, or a label has no
            name in ``classes``.
    """
    try:
        with open(list_file, encoding='utf-8') as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise FileNotFoundError(
            f'the image list {list_file!r} cannot be read '
            f'({error.strerror}); set ann_file, or data_root, to a text file '
            "with a line 'path' or 'path label' per picture") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{list_file!r} is not a UTF-8 text file; an image '
            "list has a line 'path' or 'path label' per picture") from error
    paths, labels, numbers = [], [], []
    exists = _Existence()
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        name, label = _split_line(line, extensions)
        path = osp.join(folder, name)
        if path not in exists:
            raise FileNotFoundError(
                f'line {number} of {list_file!r} names {name!r}, and there '
                f'is no file {path!r}; paths are relative to '
                f'{folder or os.getcwd()!r} (data_root and data_prefix)')
        paths.append(path)
        labels.append(label)
        numbers.append(number)
    if with_labels is False:
        return paths, [-1] * len(paths), []
    bare = [n for n, label in zip(numbers, labels) if label < 0]
    if bare and (with_labels or len(bare) < len(labels)):
        raise ValueError(
            f'line {bare[0]} of {list_file!r} has no label; write '
            "'path label' in every line, or set with_labels=False")
    names = list(classes or map(str, range(max(labels, default=-1) + 1)))
    if labels and max(labels) >= len(names):
        raise ValueError(
            f'{list_file!r} has the label {max(labels)}, but the option '
            f'classes has {len(names)} names only')
    return paths, labels, names
