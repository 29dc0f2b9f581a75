"""The first step of a pipeline: reading the picture."""
from mmengine.registry import TRANSFORMS

from ..pictures import BrokenPictureError, decode_picture, read_content
from .base import BaseTransform

__all__ = ['BrokenPictureError', 'LoadImage', 'decode_picture']


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read a picture as mmcv's transforms expect it, or say that it is broken.

    It differs from mmcv's ``LoadImageFromFile`` where that one is silent:
    a truncated file raises instead of coming out half grey, and every colour
    mode comes out as PIL's ``convert('RGB')``. See :mod:`..pictures`.

    Required Keys:

    - img_path
    - img_bytes (optional): the file's content, when a data set has it already

    Added Keys:

    - img: (H, W, 3) uint8, BGR
    - img_shape: (H, W)
    - ori_shape: (H, W)
    """

    def transform(self, results):
        """Read the picture.

        Args:
            results (dict): Holds ``img_path``, perhaps ``img_bytes``.

        Returns:
            dict: The same dict with the keys named above.

        Raises:
            BrokenPictureError: If there is no readable picture.
            OSError: If the machine or the storage fails.
        """
        path = results['img_path']
        data = results.pop('img_bytes', None)
        if data is None:
            data = read_content(path)
        img = decode_picture(data, path)
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def __repr__(self):
        return f'{self.__class__.__name__}()'
