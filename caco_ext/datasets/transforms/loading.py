"""The first step of a pipeline: reading the picture."""
from mmengine.registry import TRANSFORMS

from ..pictures import decode_picture, read_content
from .base import BaseTransform, Results


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read a picture as mmcv's transforms expect it, or say that it is broken.

    It differs from mmcv's ``LoadImageFromFile`` where that one is silent:
    a truncated file raises instead of coming out half grey, and every colour
    mode comes out as PIL's ``convert('RGB')``. See :mod:`..pictures`.

    Required Keys:

    - img_path
    - img_bytes (optional): the file's content, when a data set has it already
    - img (optional): the picture, when a data set has it already

    Added Keys:

    - img: (H, W, 3) uint8, BGR
    - img_shape: (H, W)
    - ori_shape: (H, W)

    Raises:
        BrokenPictureError: While loading, if there is no readable picture.
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
