"""The first step of a pipeline: reading the picture."""
from mmengine.registry import TRANSFORMS

from ..pictures import common_jpeg_size, decode_picture, read_content
from .base import BaseTransform, Results


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read a picture as mmcv's transforms expect it, or say that it is broken.

    Unlike mmcv's ``LoadImageFromFile``, it raises an error for a truncated
    file instead of returning it half grey. Every colour mode becomes what
    PIL's ``convert('RGB')`` makes of it. See :mod:`..pictures`.

    Required Keys:

    - img_path
    - img_bytes (optional): the file's content, if the data set has it already
    - img (optional): the picture, if the data set has it already

    Added Keys:

    - img: (H, W, 3) uint8, BGR
    - img_source: instead of img with ``on_device``
    - img_shape: (H, W)
    - ori_shape: (H, W)

    Args:
        on_device (bool): Leave JPEGs to the model's device, and only read
            them. ``MultiCrop(on_device='crop')`` must follow. Files of other
            kinds are decoded here. Defaults to False.

    Raises:
        BrokenPictureError: While loading, if the picture cannot be read.
        OSError: While loading, if the machine or the storage fails.
    """

    def __init__(self, on_device: bool = False) -> None:
        self.on_device = on_device

    def transform(self, results: Results) -> Results:
        """Read the picture."""
        path = results['img_path']
        source = results.pop('img', None)
        shape = None
        if source is None:
            source = results.pop('img_bytes', None)
            if source is None:
                source = read_content(path)
            if self.on_device:
                shape = common_jpeg_size(source)
            if shape is None:
                source = decode_picture(source, path)
        results['img_source' if self.on_device else 'img'] = source
        results['img_shape'] = results['ori_shape'] = shape or source.shape[:2]
        return results
