"""Views of one size in one batch: the same features, other statistics."""
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tests.helpers.small_models import CONFIGS, build, pictures, total


def freeze_norms(model):
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    return model


@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('method', list(CONFIGS))
def test_equals_separate_passes_where_norms_are_frozen(method, shuffle):
    options = dict(query_views=(0, 1, 2), key_views=(0, 1))
    if method == 'CLSA':
        options['strong_views'] = (3, )
    if shuffle and method != 'CARE':
        options['shuffle_bn'] = True
    one = freeze_norms(build(method, **options))
    other = freeze_norms(build(method, fuse_views=True, **options))
    other.load_state_dict(one.state_dict())
    views = pictures(one.num_views)
    views[2] = views[2][..., :24, :24]  # a group of its own
    losses, calls = [], []
    for model in (one, other):
        model.backbone.register_forward_hook(
            lambda *args: calls.append(args[1][0].size(0)))
        torch.manual_seed(0)
        losses.append(total(model.loss(views)))
        losses[-1].backward()
    torch.testing.assert_close(losses[1], losses[0])
    for (name, a), b in zip(one.named_parameters(), other.parameters()):
        if a.requires_grad:
            torch.testing.assert_close(
                b.grad, a.grad, rtol=1e-3, atol=1e-5, msg=name)
    batch = len(views[0])
    apart = len(options['query_views']) + (method == 'CLSA')
    assert calls == [batch] * apart + [batch * (apart - 1), batch]


def test_norms_see_the_views_together():
    counts = {}
    for fuse in (False, True):
        model = build('CaCo', fuse_views=fuse)
        model.loss(pictures(2))
        counts[fuse] = int(model.backbone.bn1.num_batches_tracked)
    assert counts == {False: 2, True: 1}
