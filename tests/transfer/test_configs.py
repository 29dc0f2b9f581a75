"""Every benchmark's model takes the whole backbone of its name."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import caco_ext  # noqa: F401  # before anything of a host
from caco_ext.converters.resnet import Architecture
from caco_ext.transfer import find_places

ROOT = Path(__file__).parents[2] / 'configs/benchmarks'
NETWORKS = {
    '50': Architecture(50),
    '101': Architecture(101),
    '152': Architecture(152),
    '50w2': Architecture(50, 128, 2)
}
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.glob('*/*/*.py')
    if re.search(r'_r(esnet)?\d|^resnet', path.name))


def test_all_depths_of_all_benchmarks_are_there():
    names = [
        re.sub(r'(r(?:esnet)?)(50w2|50|101|152)', r'\1N', c) for c in CONFIGS
    ]
    assert len(CONFIGS) == 4 * len(set(names)) == 56


@pytest.mark.parametrize('group', sorted({Path(c).parent for c in CONFIGS}))
def test_backbones(group, monkeypatch):
    # drawing weights that nobody looks at would take most of the time
    for layer in (torch.nn.Conv2d, torch.nn.Linear):
        monkeypatch.setattr(layer, 'reset_parameters', lambda self: None)
    for config in CONFIGS:
        if Path(config).parent != group:
            continue
        cfg = Config.fromfile(ROOT / config)
        init_default_scope(cfg.default_scope)
        model = MODELS.build(cfg.model)
        wanted = NETWORKS[re.search(r'r(?:esnet)?(50w2|50|101|152)',
                                    Path(config).name)[1]].shapes()
        found = {
            name: tuple(value.shape)
            for place in find_places(model).values()
            for name, value in place.items()
        }
        assert found == {n: tuple(s) for n, s in wanted.items()}, config
        hooks = cfg.default_hooks
        assert hooks.pretrained.type == 'PretrainedBackboneHook', config
        assert hooks.data_check and hooks.results.task, config
        assert not cfg.model.get('pretrained'), config
        assert not cfg.model.backbone.get('init_cfg'), config
