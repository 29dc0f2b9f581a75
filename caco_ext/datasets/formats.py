"""The picture formats that are read."""
from typing import Tuple

from PIL import Image

# PIL's other formats are no pictures of a data set: pages (EPS starts
# Ghostscript), videos, scientific containers, and stubs that read nothing.
_WANTED = ('AVIF', 'BLP', 'BMP', 'CUR', 'DCX', 'DDS', 'DIB', 'GIF', 'ICNS',
           'ICO', 'JPEG', 'JPEG2000', 'MSP', 'PCX', 'PNG', 'PPM', 'PSD', 'QOI',
           'SGI', 'SUN', 'TGA', 'TIFF', 'WEBP', 'XBM', 'XPM')
Image.init()
# For ``Image.open(formats=...)``, which refuses formats that the installed
# PIL lacks.
PICTURE_FORMATS: Tuple[str, ...] = tuple(name for name in _WANTED
                                         if name in Image.OPEN)
# Endings of these files, in lower case, with the dot. PIL opens an MPO file,
# which holds several pictures, as JPEG.
EXTENSIONS: Tuple[str, ...] = tuple(
    sorted(ending for ending, name in Image.registered_extensions().items()
           if name in (*PICTURE_FORMATS, 'MPO')))
