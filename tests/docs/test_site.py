"""The documentation builds, and what it names is there."""
import inspect
import math
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR
from mmengine.registry import HOOKS, MODELS

import caco_ext  # noqa: F401, registers the classes
from tests.helpers import ROOT
from tests.helpers.processes import run
from tests.helpers.warm_python import warm_python

CONFIGS = ROOT / 'configs' / 'selfsup'


@pytest.mark.slow
def test_builds_without_a_warning(tmp_path):
    options = '-W --keep-going -q -b html -d trees'.split()
    run(warm_python(),
        '-m',
        'sphinx',
        *options,
        ROOT / 'docs',
        'site',
        cwd=tmp_path)
    api = (tmp_path / 'site' / 'api' / 'models.html').read_text()
    for name in ('AdCo', 'CaCo', 'CLSA', 'CARE', 'LearnableBank'):
        assert f'<span class="pre">{name}</span>' in api, name
    # What tests read in front of commands is no text of the pages.
    page = (tmp_path / 'site' / 'visualization.html').read_text()
    assert 'run by tests/' not in re.sub(r'<!--.*?-->', '', page, flags=re.S)
    # Pages beside the configs are pages of the site, and lead on from there.
    page = (tmp_path / 'site' / 'methods' / 'clsa.html').read_text()
    assert 'href="adco.html"' in page
    # Formulas, and all else, need neither a network nor a script.
    assert page.count('<math') > 3 and '\\frac' not in page
    for path in (tmp_path / 'site').rglob('*.html'):
        asked = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?:.*',
                           path.read_text())
        assert not asked, (path, asked)
    # What the README says of the hosts stands on their page.
    page = (tmp_path / 'site' / 'hosts.html').read_text()
    assert 'quick start, kNN' in page and 'start-after' not in page


def test_migrating_names_configs_and_options_that_exist():
    text = (ROOT / 'docs' / 'migrating.md').read_text()
    names = re.findall(r'`(\w+_resnet50_[\w-]+\.py)`', text)
    assert len(names) == 10
    paths = [CONFIGS / name.split('_')[0] / name for name in names]
    benchmarks = re.findall(r'`((?:classification|mmdetection)/\S+\.py)`',
                            text)
    assert len(benchmarks) == 7
    for name in benchmarks:
        assert (ROOT / 'configs/benchmarks' / name).is_file(), name
    paths += [
        ROOT / 'configs/benchmarks' / name for name in benchmarks
        if '/imagenet/' in name
    ]
    configs = [Config.fromfile(path) for path in paths]
    found = re.findall(r'`((?:model|train_|optim_|default_)[\w.]+)', text)
    keys = {key for key in found if not key.endswith('.py')}
    assert len(keys) > 20
    small = Config.fromfile(
        CONFIGS / 'caco/caco_resnet18_1xb64-sym-coslr-15e_photopatches.py')
    for key in keys:
        assert any(has(cfg, key.split('.')) for cfg in [*configs, small]), key


def test_migrating_names_every_flag_of_the_methods_pages():
    text = (ROOT / 'docs' / 'migrating.md').read_text()
    sections = dict(
        section.split('\n', 1) for section in text.split('\n## ')[1:])
    for title in ('AdCo', 'CaCo', 'CLSA', 'CARE'):
        page = (CONFIGS / title.lower() / 'README.md').read_text()
        options = page.split('\n## Options\n')[1].split('\n## ')[0]
        flags = set(re.findall(r'`(--\w+)', options))
        assert len(flags) > 10 or title == 'CARE'
        missing = flags - set(re.findall(r'`(--\w+)', sections[title]))
        assert not missing, (title, missing)


def test_migrating_gives_a_quarter_of_a_cosine():
    text = (ROOT / 'docs' / 'migrating.md').read_text()
    rows = re.findall(r'\| `--cos 2`.*`CosineAnnealingLR\((.*?)\)`', text)
    assert len(rows) == 2 and len(set(rows)) == 1
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.03)
    scheduler = CosineAnnealingLR(optimizer, **eval(f'dict({rows[0]})'))
    for epoch in range(200):
        wanted = 0.03 * math.cos(math.pi * epoch / 400)
        assert abs(optimizer.param_groups[0]['lr'] - wanted) < 1e-12
        optimizer.step()
        scheduler.step()


def test_shared_memory_of_the_presets():
    text = (ROOT / 'docs' / 'distributed.md').read_text()
    loader = Config.fromfile(next(
        CONFIGS.glob('caco/caco_resnet50_8xb128*'))).train_dataloader
    crop, = (
        step for step in loader.dataset.pipeline
        if step['type'] == 'MultiCrop')
    sizes = map(int, re.findall(r"'size': (\d+)", str(crop)))
    views = sum(n * 3 * size**2 for n, size in zip(crop['num_views'], sizes))
    share = loader.num_workers * 2 * loader.batch_size * views / 1e9
    assert f'{share:.2f} GB a process, and {8 * share:.1f} GB' in text


def has(node, names):
    for name in names:
        if not hasattr(node, 'get') or node.get(name) is None:
            return takes(node, name) and name == names[-1]
        node = node[name]
    return True


def takes(node, name):
    """Whether the class that a node names has an option of which the presets
    keep the default."""
    if not hasattr(node, 'get') or 'type' not in node:
        return False
    kind = MODELS.get(node['type']) or HOOKS.get(node['type'])
    return kind is not None and any(
        name in inspect.signature(cls.__init__).parameters
        for cls in kind.__mro__)
