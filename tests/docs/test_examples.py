"""The method of the page 'A method of your own'."""
import shutil

import pytest
import torch
from torch.nn import functional as F

from tests.helpers import ROOT
from tests.helpers.processes import QUICK_START, run_tool, write_config
from tests.helpers.small_models import BACKBONE, NECK

EXAMPLES = ROOT / 'docs' / 'examples'


@pytest.fixture
def example(monkeypatch):
    """The module, as a user's project would import it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import nearest_neighbour
    return nearest_neighbour


def test_is_as_short_as_the_page_says():
    page = (EXAMPLES.parent / 'adding_a_method.md').read_text()
    lines = sum(
        len(path.read_text().splitlines()) for path in EXAMPLES.glob('*.py'))
    assert f'{lines} lines in all' in page and lines <= 60


def test_loss_against_plain_code(example):
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import MODELS, init_default_scope
    init_default_scope('mmselfsup')
    torch.manual_seed(0)
    model = revert_sync_batchnorm(
        MODELS.build(
            dict(
                type='NearestNeighbour',
                backbone=BACKBONE,
                neck=NECK,
                head=dict(type='NearestNeighbourHead', temperature=0.2),
                memory=dict(type='FeatureQueue', num_columns=40, dim=16))))
    assert isinstance(model, example.NearestNeighbour)
    q, k = (F.normalize(torch.randn(2, 8, 16), dim=2) for _ in range(2))
    loss = model.compute_losses(list(q), list(k))['loss']
    wanted, queue = 0., model.memory.columns
    for a, b in ((0, 1), (1, 0)):
        for i in range(8):
            near = torch.stack([queue[:, (x @ queue).argmax()] for x in k[b]])
            wanted = wanted - torch.log_softmax(near @ q[a, i] / 0.2, 0)[i] / 8
    torch.testing.assert_close(loss, wanted)
    before = queue.clone()
    model.memory.step()
    assert (queue != before).any(0).sum() == 8


@pytest.mark.slow
def test_trains(tmp_path):
    shutil.copytree(
        EXAMPLES,
        tmp_path / 'mine',
        ignore=shutil.ignore_patterns('__pycache__'))
    config = tmp_path / 'mine' / 'nearest_neighbour_config.py'
    # `caco_ext::` needs an installation, a clone may be without one.
    text = config.read_text()
    base = text[:text.index('custom_imports')]
    config.write_text(
        text.replace(base, f'_base_ = {str(ROOT / QUICK_START)!r}\n'))
    write_config(tmp_path, base=str(config))
    run_tool(
        'train.py',
        'tiny.py',
        '--work-dir',
        'run',
        cwd=tmp_path,
        PYTHONPATH=f'{ROOT}:{tmp_path / "mine"}')
    state = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=True)
    assert int(state['state_dict']['memory.pointer']) == 8
