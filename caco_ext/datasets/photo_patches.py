"""A small real data set that needs no download."""
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import os.path as osp
import shutil
import tempfile
import time
from contextlib import suppress
from typing import Any, Iterator, List, Tuple

import numpy as np
from mmengine.registry import DATASETS
from PIL import Image

from caco_ext.utils.extras import missing_extra
from caco_ext.utils.files import write_whole
from .image_folder import ImageFolder
from .sources import find_pictures

# Photographs in the two packages, in the order of their random draws.
SKIMAGE_PHOTOS = ('astronaut', 'brick', 'chelsea', 'coffee', 'coins', 'grass',
                  'gravel', 'hubble_deep_field', 'ihc', 'moon',
                  'motorcycle_left', 'retina', 'rocket', 'cell', 'page')
SKLEARN_PHOTOS = ('china', 'flower')
CROPS = dict(train=150, val=40)
RECIPE_VERSION = 1
PATCH_SIZE = 64
_MARKER = 'complete.json'
_STALE_SECONDS = 3600


def _package_folder(package: str, below: str = '') -> str:
    """Folder inside an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise missing_extra('PhotoPatches', package, 'data',
                            ', or set data_root to a folder of your own')
    return osp.join(spec.submodule_search_locations[0], below)


def photographs() -> Iterator[Tuple[str, Image.Image]]:
    """Open the photographs, and shrink large ones to 480 pixels.

    Yields:
        tuple[str, PIL.Image.Image]: Name and RGB picture.

    Raises:
        FileNotFoundError: If an installed release lacks one of them.
        ImportError: If scikit-image or scikit-learn is missing.
    """
    sources = [(name, 'skimage', 'data') for name in SKIMAGE_PHOTOS]
    sources += [(name, 'sklearn', 'datasets/images')
                for name in SKLEARN_PHOTOS]
    for name, package, below in sources:
        folder = _package_folder(package, below)
        paths = [osp.join(folder, name + end) for end in ('.png', '.jpg')]
        path = next(filter(osp.isfile, paths), None)
        if path is None:
            raise FileNotFoundError(
                f'scikit-{package[2:]} {_version(package)} does not carry the '
                f'photograph {name!r} in {folder!r}; install a release that '
                'does (scikit-image 0.26, scikit-learn 1.9)')
        with Image.open(path) as file:
            picture = file.convert('RGB')
        longest = max(picture.size)
        if longest > 640:
            size = [int(side * (480 / longest)) for side in picture.size]
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        yield name, picture


def crop_boxes(
    width: int, height: int, rng: np.random.Generator
) -> Iterator[Tuple[str, int, Tuple[int, int, int, int]]]:
    """Draw the boxes of one photograph.

    Training boxes lie in the left 60 % of the width, validation boxes in the
    rest: the two parts share no pixel.

    Args:
        width (int): Width of the photograph.
        height (int): Height of the photograph.
        rng (np.random.Generator): Makes three draws per box.

    Yields:
        tuple[str, int, tuple[int, int, int, int]]: Part, number within it,
        and box (left, top, right, bottom).
    """
    border = int(width * .6)
    largest = min(110, height // 2, width // 2)
    for part, count in CROPS.items():
        for number in range(count):
            side = int(rng.integers(48, largest))
            top = int(rng.integers(0, height - side))
            first, last = (0, border -
                           side) if part == 'train' else (border, width - side)
            # A box wider than the right part starts at the border.
            left = int(rng.integers(first, max(first, last) + 1))
            yield part, number, (left, top, left + side, top + side)


def write_photo_patches(folder: str) -> int:
    """Write the pictures: ``folder/{train,val}/NAME/NNNN.jpg``.

    Args:
        folder (str): Target folder; is created if missing.

    Returns:
        int: Number of pictures written.
    """
    rng = np.random.default_rng(0)
    written = 0
    for name, photo in photographs():
        for part in CROPS:
            os.makedirs(osp.join(folder, part, name), exist_ok=True)
        for part, number, box in crop_boxes(*photo.size, rng):
            patch = photo.crop(box).resize((PATCH_SIZE, PATCH_SIZE),
                                           Image.Resampling.BICUBIC)
            path = osp.join(folder, part, name, f'{number:04d}.jpg')
            patch.save(path, quality=92)
            written += 1
    return written


def _version(package: str) -> str:
    return importlib.metadata.version(
        dict(skimage='scikit-image',
             sklearn='scikit-learn').get(package, package))


def cache_folder() -> str:
    """Cache folder of the pictures.

    It is in ``$CACO_EXT_CACHE``, else ``$XDG_CACHE_HOME/caco_ext``, else
    ``~/.cache/caco_ext``. Its name holds the version of the recipe and the
    releases of the packages that the pixels come from.

    Returns:
        str: The folder.
    """
    root = os.environ.get('CACO_EXT_CACHE') or osp.join(
        os.environ.get('XDG_CACHE_HOME') or osp.expanduser('~/.cache'),
        'caco_ext')
    for package in ('skimage', 'sklearn'):
        _package_folder(package)
    origin: List[Any] = [SKIMAGE_PHOTOS, SKLEARN_PHOTOS, CROPS, PATCH_SIZE]
    origin += [_version(p) for p in ('skimage', 'sklearn', 'pillow')]
    digest = hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:10]
    return osp.join(root, 'photo_patches', f'v{RECIPE_VERSION}-{digest}')


def _is_complete(folder: str) -> bool:
    """Whether a folder has all its pictures."""
    try:
        with open(osp.join(folder, _MARKER)) as file:
            count = json.load(file)['pictures']
    except (OSError, ValueError, KeyError):
        return False
    return len(find_pictures(folder)) == count


def _remove_leftovers(parent: str) -> None:
    """Remove what interrupted processes left, but not what others write."""
    for name in os.listdir(parent):
        path = osp.join(parent, name)
        if name.startswith('.making-') and (
                time.time() - os.stat(path).st_mtime > _STALE_SECONDS):
            shutil.rmtree(path, ignore_errors=True)


def prepare_photo_patches() -> str:
    """Make the pictures in the cache unless they are there.

    They are written into a temporary folder that is renamed at the end. So a
    folder of the final name is complete, and two processes may make it at the
    same time. A damaged folder is made again.

    Returns:
        str: The folder that holds ``train`` and ``val``.

    Raises:
        RuntimeError: If the cache cannot be written.
    """
    final = cache_folder()
    if _is_complete(final):
        return final
    parent = osp.dirname(final)
    making = None
    try:
        os.makedirs(parent, exist_ok=True)
        _remove_leftovers(parent)
        making = tempfile.mkdtemp(prefix='.making-', dir=parent)
        os.chmod(making, 0o755)  # mkdtemp gives access to the owner only
        count = write_photo_patches(making)
        write_whole(
            osp.join(making, _MARKER), json.dumps(dict(pictures=count)))
        _put_in_place(making, final)
    except FileNotFoundError:
        raise  # a photograph is missing; the cache is fine
    except OSError as error:
        raise RuntimeError(
            f'the pictures of PhotoPatches cannot be written to {parent!r} '
            f'({error.strerror}); set the environment variable '
            'CACO_EXT_CACHE to a folder with 20 MB of room that can be '
            'written') from error
    finally:
        if making is not None:
            shutil.rmtree(making, ignore_errors=True)
    return final


def _put_in_place(making: str, final: str) -> None:
    """Rename the finished folder; replace a damaged one."""
    for _ in range(3):
        try:
            os.rename(making, final)
            return
        except OSError:
            if not osp.isdir(final):
                raise
        if _is_complete(final):
            return
        # Move it away in one step: nobody must see half a folder.
        aside = tempfile.mkdtemp(prefix='.making-', dir=osp.dirname(final))
        with suppress(FileNotFoundError):  # another process was faster
            os.rename(final, osp.join(aside, 'damaged'))
        shutil.rmtree(aside, ignore_errors=True)
    raise FileExistsError(17, 'the folder keeps being damaged', final)


@DATASETS.register_module()
class PhotoPatches(ImageFolder):
    """Crops of 17 photographs from scikit-image and scikit-learn.

    There are 2550 crops for training and 680 for validation, of 64 x 64
    pixels, labelled by photograph. The two parts share no pixel. The first
    use writes them to a cache folder, which takes some seconds. With
    ``data_root`` this is an :class:`ImageFolder`, so this one option trains
    on other pictures.

    Args:
        data_root (str): A folder, list or LMDB file of your own; '' uses the
            photographs. Defaults to ''.
        split (str): 'train' or 'val'. Defaults to 'train'.
        **kwargs: Arguments of :class:`ImageFolder`.

    Raises:
        RuntimeError: If the cache folder cannot be written.
    """

    def __init__(self,
                 data_root: str = '',
                 split: str = 'train',
                 **kwargs: Any) -> None:
        # Whether these are the bundled photographs.
        self.bundled = not data_root and not kwargs.get('ann_file')
        if self.bundled:
            data_root = prepare_photo_patches()
        super().__init__(data_root=data_root, split=split, **kwargs)
