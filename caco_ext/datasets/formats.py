"""Which picture formats are read."""
from typing import Tuple

from PIL import Image

# What PIL reads beyond these is no picture of a data set: pages (EPS calls
# Ghostscript), videos, scientific containers, and stubs that read nothing.
_WANTED = ('AVIF', 'BLP', 'BMP', 'CUR', 'DCX', 'DDS', 'DIB', 'GIF', 'ICNS',
           'ICO', 'JPEG', 'JPEG2000', 'MSP', 'PCX', 'PNG', 'PPM', 'PSD', 'QOI',
           'SGI', 'SUN', 'TGA', 'TIFF', 'WEBP', 'XBM', 'XPM')
Image.init()
# For ``Image.open(formats=...)``, which takes no name that this release of
# PIL lacks.
PICTURE_FORMATS: Tuple[str, ...] = tuple(name for name in _WANTED
                                         if name in Image.OPEN)
# Endings of the files that hold one of these, lower case, each with its dot.
# PIL opens the several pictures of an MPO file as JPEG.
EXTENSIONS: Tuple[str, ...] = tuple(
    sorted(ending for ending, name in Image.registered_extensions().items()
           if name in (*PICTURE_FORMATS, 'MPO')))
