"""The first step of a pipeline: reading the picture."""
from mmengine.registry import TRANSFORMS

from ..pictures import decode_picture, read_content
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
    - img_shape: (H, W)
    - ori_shape: (H, W)

    Raises:
        BrokenPictureError: While loading, if the picture cannot be read.
        OSError: While loading, if the machine or the storage fails.
    """

    def transform(self, results: Results) -> Results:
        """Read the picture."""
        path = results['img_path']
        img = results.get('img')
        if img is None:
            data = results.pop('img_bytes', None)
            if data is None:
                data = read_content(path)
            img = results['img'] = decode_picture(data, path)
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results
