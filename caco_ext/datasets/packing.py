"""Read pictures of any source to write them in another format."""
import logging
import os
import os.path as osp
import stat
from typing import Any, Dict, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmengine.logging import print_log

from .containers.lmdb_format import digest
from .formats import EXTENSIONS
from .image_folder import ImageFolder
from .parts import locate_split
from .pictures import BrokenPictureError, decode_picture, read_content

# File endings by the first bytes of a file.
_SIGNATURES = {
    b'\xff\xd8\xff': '.jpg',
    b'\x89PNG\r\n\x1a\n': '.png',
    b'GIF8': '.gif',
    b'BM': '.bmp',
    b'RIFF': '.webp',
    b'II*\0': '.tif',
    b'MM\0*': '.tif'
}


def parts_of(root: str) -> Dict[str, str]:
    """Find the parts of a data set.

    Args:
        root (str): Anything that ``data_root`` can be.

    Returns:
        dict[str, str]: Paths of 'train', 'val' and 'test'. For a root without
        parts '' and the root.
    """
    found: Dict[str, str] = {}
    for split in ('train', 'val', 'test'):
        path, divided = locate_split(root, split)
        if divided and path not in found.values():
            found[split] = path
    return found or {'': root}


def stamp(path: str) -> Tuple[int, int, int]:
    """Stamp that reveals a replaced file without reading it.

    Args:
        path (str): The file.

    Returns:
        tuple[int, int, int]: Size in bytes, modification time (mtime) and
        change time (ctime) in ns.

    Raises:
        OSError: There is no such file, or no regular one.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f'{path!r} is no regular file; take it out of the list')
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


class PackSource:
    """The pictures of a source, each as the content of a file.

    Args:
        root (str): A folder, a list, an LMDB file, shards, or
            'torchvision:NAME', as ``data_root`` of :class:`ImageFolder`.
        with_labels (bool, optional): True demands labels, False ignores them.
            Defaults to None (use them if there are any).
        extensions (Sequence[str]): Endings of picture files.
        classes (str | Sequence[str], optional): See :class:`ImageFolder`.
        short_side (int, optional): Larger pictures are shrunk until their
            shorter side has so many pixels, and stored as JPEG. Defaults to
            None (all stay as they are).
        quality (int): Quality of that JPEG, 1 to 100. Defaults to 90.

    Raises:
        OSError: A picture is missing.
        ValueError: There are no pictures, or an option is out of range.
    """

    def __init__(self,
                 root: str,
                 with_labels: Optional[bool] = None,
                 extensions: Sequence[str] = EXTENSIONS,
                 classes: Any = None,
                 short_side: Optional[int] = None,
                 quality: int = 90) -> None:
        if short_side is not None and short_side < 1:
            raise ValueError(f'short_side={short_side} must be 1 or more')
        if not 1 <= quality <= 100:
            raise ValueError(f'quality={quality} must lie between 1 and 100')
        parts = parts_of(root)
        if '' not in parts:
            raise ValueError(
                f'{root!r} holds the parts {", ".join(parts)} of a data set, '
                'which must not be mixed; take one of them')
        self.root = root
        self.short_side = short_side
        self.quality = quality
        self.data = ImageFolder(
            root,
            with_labels=with_labels,
            extensions=extensions,
            classes=classes,
            lazy_init=True)
        infos = self.data.load_data_list()
        self.paths = [info['img_path'] for info in infos]
        self.labels = [info['gt_label'] for info in infos]
        self.classes = list(self.data.metainfo['classes'])
        base = self.data.data_prefix['img_path']
        if self.data.container is not None:
            base = osp.commonpath({osp.dirname(path) for path in self.paths})
        self.names = [osp.relpath(path, base) for path in self.paths]
        files = self.paths if self.data.container is None else (
            self.data.container.files())
        self.stamps = {path: stamp(path) for path in files}
        how = [] if short_side is None else [short_side, quality]
        self.digest = digest([self.names, self.labels, self.classes] +
                             ([how] if how else []))

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        """File content of one picture.

        Args:
            index (int): Index of the picture.

        Returns:
            bytes: The file, unchanged or shrunk. One that is no picture stays
            as it is.

        Raises:
            OSError: It has changed since this object was made.
        """
        path = self.paths[index]
        if self.data.container is None:
            data = read_content(path)
            if stamp(path) != self.stamps[path]:
                raise OSError(f'{path!r} has changed while it was copied; run '
                              'the same command again when it is at rest')
        else:
            found = self.data.container.load(index, path)
            if 'img' in found:  # an array, never stored as a picture file
                return _encode(found['img'], '.png')
            data = found['img_bytes']
        return self._shrink(data, path)

    def _shrink(self, data: bytes, path: str) -> bytes:
        if self.short_side is None:
            return data
        try:
            img = decode_picture(data, path)
        except BrokenPictureError as error:
            print_log(f'{error}; it is copied as it is', 'current',
                      logging.WARNING)
            return data
        height, width = img.shape[:2]
        scale = self.short_side / min(height, width)
        if scale >= 1:
            return data
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        small = cv2.resize(img, size, interpolation=cv2.INTER_AREA)
        return _encode(small, '.jpg', [cv2.IMWRITE_JPEG_QUALITY, self.quality])


def _encode(img: np.ndarray, ending: str,
            options: Sequence[int] = ()) -> bytes:
    """Encode (H, W, 3) uint8 BGR as the content of a file."""
    return cv2.imencode(ending, img, list(options))[1].tobytes()


def ending_of(data: bytes, name: str) -> str:
    """The ending that fits a file's content, else that of its name."""
    for start, ending in _SIGNATURES.items():
        if data.startswith(start):
            return ending
    return osp.splitext(name)[1].lower() or '.img'
