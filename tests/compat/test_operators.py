"""What torchvision lends where mmcv has no compiled operators."""
import pytest
import torch

from caco_ext.compat.operators import TorchvisionOperators

OPS = TorchvisionOperators('mmcv._ext')


def area_overlap(a, b, offset):
    """Intersection over union of two boxes, by the definition."""
    w = min(a[2], b[2]) - max(a[0], b[0]) + offset
    h = min(a[3], b[3]) - max(a[1], b[1]) + offset
    if w <= 0 or h <= 0:
        return 0.
    areas = [(x[2] - x[0] + offset) * (x[3] - x[1] + offset) for x in (a, b)]
    return w * h / (sum(areas) - w * h)


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_by_the_definition(offset):
    torch.manual_seed(0)
    corners = torch.randint(0, 20, (60, 2)).float()
    boxes = torch.cat([corners, corners + torch.randint(3, 15, (60, 2))], 1)
    scores = torch.rand(60)
    kept = []
    for i in scores.argsort(descending=True).tolist():
        if all(
                area_overlap(boxes[i].tolist(), boxes[j].tolist(), offset) <=
                0.5 for j in kept):
            kept.append(i)
    found = OPS.nms(boxes, scores, iou_threshold=0.5, offset=offset)
    assert found.tolist() == kept and 1 < len(kept) < 60


def pool(x, rois, **options):
    """RoIAlign by the two functions of mmcv's extension."""
    output, empty = x.new_zeros(len(rois), x.size(1), 2, 2), x.new_zeros(0)
    options = dict(
        aligned_height=2,
        aligned_width=2,
        spatial_scale=0.5,
        sampling_ratio=2,
        pool_mode=1,
        aligned=True,
        **options)
    OPS.roi_align_forward(x, rois, output, empty, empty, **options)
    slope = torch.arange(output.numel()).view_as(output).to(x)
    gradient = torch.zeros_like(x)
    OPS.roi_align_backward(slope, rois, empty, empty, gradient, **options)
    return output, slope, gradient


def test_roi_align_and_its_gradient():
    """The mean of a linear map is its value in the middle of a bin."""
    rows, columns = torch.meshgrid(
        torch.arange(8.), torch.arange(8.), indexing='ij')
    x = torch.stack([rows, columns, rows + columns])[None].double()
    rois = torch.tensor([[0, 2., 4., 10., 12.]]).double()
    output, slope, gradient = pool(x, rois)
    # in the map 1 to 5 and 2 to 6, less half a pixel; bins of 2
    centres = torch.tensor([2.5, 4.5]).double(), torch.tensor([1.5, 3.5])
    torch.testing.assert_close(output[0, 0], centres[0][:, None].expand(2, 2))
    torch.testing.assert_close(output[0, 1],
                               centres[1].double()[None].expand(2, 2))
    # linear: the gradient's product with the map is the output's
    torch.testing.assert_close((gradient * x).sum(), (slope * output).sum())


def test_others_say_how_to_get_them():
    with pytest.raises(RuntimeError, match='with-ops'):
        OPS.softnms(torch.zeros(1, 4))
    with pytest.raises(RuntimeError, match="pool_mode='max'"):
        OPS.roi_align_forward(*[torch.zeros(1, 5)] * 5, 1, 1, 1., 0, 0, True)
    assert not hasattr(OPS, '__wrapped__')
