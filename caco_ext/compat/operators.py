"""Detection without mmcv's compiled operators."""
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any, Callable, NoReturn

import torch
from torch import Tensor

from .versions import Outcome

_ATTENTION = 'MultiScaleDeformableAttention'


def operators_from_torchvision() -> Outcome:
    """Let mmdet and mmseg run where mmcv has no compiled operators.

    What breaks: mmcv-lite, and onedl-mmcv as pip builds it, contain the Python
    part of ``mmcv.ops`` but not its compiled extension. So ``import
    mmdet.models`` and ``import mmseg.models`` end with ``No module named
    'mmcv._ext'``. Yet Mask R-CNN needs only two of the operators and FCN none.

    Remedy: a module replaces the missing extension. It computes ``nms`` and
    ``roi_align`` with torchvision. A call of any other operator raises an
    error that says how to get it.

    Needed while mmcv is installed without its extension.
    """
    if importlib.util.find_spec('mmcv') is None:
        return False, 'mmcv is not installed'
    name = 'mmcv._ext'
    if isinstance(sys.modules.get(name), TorchvisionOperators):
        return True, 'done before'
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return False, 'mmcv has its compiled operators'
    module = TorchvisionOperators(name)
    # Without a loader, so that checks for mmcv's operators find none.
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    sys.modules[name] = module
    # If imported earlier, it has found no operators.
    early = sys.modules.get('mmcv.cnn.bricks.transformer')
    if early is not None and not hasattr(early, _ATTENTION):
        late = importlib.import_module('mmcv.ops.multi_scale_deform_attn')
        setattr(early, _ATTENTION, getattr(late, _ATTENTION))
    return True, ('mmcv without operators: nms and roi_align come from '
                  'torchvision')


class TorchvisionOperators(types.ModuleType):
    """Stands for ``mmcv._ext``; see :func:`operators_from_torchvision`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return _missing(name)

    @staticmethod
    def nms(boxes: Tensor, scores: Tensor, iou_threshold: float,
            offset: int) -> Tensor:
        """Non-maximum suppression.

        Args:
            boxes (Tensor): x1, y1, x2, y2, shape (N, 4).
            scores (Tensor): Shape (N, ).
            iou_threshold (float): Overlap above which the box with the lower
                score is removed.
            offset (int): Added to widths and heights, 0 or 1.

        Returns:
            Tensor: Indices of the remaining boxes, best first.
        """
        from torchvision.ops import nms
        if offset:
            boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
        return nms(boxes, scores.to(boxes.dtype), iou_threshold)

    @staticmethod
    def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor,
                          argmax_y: Tensor, argmax_x: Tensor,
                          aligned_height: int, aligned_width: int,
                          spatial_scale: float, sampling_ratio: int,
                          pool_mode: int, aligned: bool) -> None:
        """Average features in regions, into ``output``.

        Args:
            input (Tensor): Maps (N, C, H, W).
            rois (Tensor): Index of the map, x1, y1, x2, y2, shape (R, 5).
            output (Tensor): Result, shape (R, C, h, w).
            argmax_y, argmax_x (Tensor): Not used; for the other mode.
            aligned_height, aligned_width (int): h and w.
            spatial_scale (float): Scale from picture to map.
            sampling_ratio (int): Samples per bin; 0 for as many as needed.
            pool_mode (int): 1 for the mean.
            aligned (bool): Whether regions are shifted by half a pixel.

        Raises:
            RuntimeError: ``pool_mode`` is not 1.
        """
        _only_mean(pool_mode)
        from torchvision.ops import roi_align
        output.copy_(
            roi_align(input, rois.to(input), (aligned_height, aligned_width),
                      spatial_scale, sampling_ratio, aligned))

    @staticmethod
    def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor,
                           argmax_x: Tensor, grad_input: Tensor,
                           aligned_height: int, aligned_width: int,
                           spatial_scale: float, sampling_ratio: int,
                           pool_mode: int, aligned: bool) -> None:
        """Gradient of :meth:`roi_align_forward`, into ``grad_input``.

        Args:
            grad_output (Tensor): (R, C, h, w).
            rois, argmax_y, argmax_x, aligned_height, aligned_width,
                spatial_scale, sampling_ratio, pool_mode, aligned: As there.
            grad_input (Tensor): Result, (N, C, H, W).

        Raises:
            RuntimeError: ``pool_mode`` is not 1.
        """
        _only_mean(pool_mode)
        grad_input.copy_(
            torch.ops.torchvision._roi_align_backward(grad_output,
                                                      rois.to(grad_output),
                                                      spatial_scale,
                                                      aligned_height,
                                                      aligned_width,
                                                      *grad_input.shape,
                                                      sampling_ratio, aligned))


def _only_mean(pool_mode: int) -> None:
    if pool_mode != 1:
        _missing("roi_align with pool_mode='max'")()


def _missing(name: str) -> Callable:
    """Make a function whose error says how to get an operator."""

    def missing(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            f'{name} needs the compiled operators of mmcv, and this mmcv has '
            'none: bash tools/setup_env.sh --with-ops')

    return missing
