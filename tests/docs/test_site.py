"""The documentation builds, and what it names is there."""
import re
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs' / 'selfsup'


def test_builds_without_a_warning(tmp_path):
    done = subprocess.run([
        sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b',
        'html', '-d', tmp_path / 'trees', ROOT / 'docs', tmp_path / 'site'
    ],
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout
    api = (tmp_path / 'site' / 'api' / 'models.html').read_text()
    for name in ('AdCo', 'CaCo', 'CLSA', 'CARE', 'LearnableBank'):
        assert f'<span class="pre">{name}</span>' in api, name
    # What tests read in front of commands is no text of the pages.
    page = (tmp_path / 'site' / 'visualization.html').read_text()
    assert 'run by tests/' not in re.sub(r'<!--.*?-->', '', page, flags=re.S)
    # Pages beside the configs are pages of the site, and lead on from there.
    page = (tmp_path / 'site' / 'methods' / 'clsa.html').read_text()
    assert 'href="adco.html"' in page


def test_migrating_names_configs_and_options_that_exist():
    text = (ROOT / 'docs' / 'migrating.md').read_text()
    names = re.findall(r'`(\w+_resnet50_[\w-]+\.py)`', text)
    assert len(names) == 10
    configs = [
        Config.fromfile(CONFIGS / name.split('_')[0] / name) for name in names
    ]
    keys = set(re.findall(r'`((?:model|train_|optim_|default_)[\w.]+)', text))
    assert len(keys) > 20
    # Named in the classes' signatures; the presets keep the defaults.
    silent = {
        'model.query_views', 'model.key_views', 'model.strong_views',
        'model.memory.init'
    }
    small = Config.fromfile(
        CONFIGS / 'caco/caco_resnet18_1xb64-sym-warmcos-15e_photopatches.py')
    for key in keys - silent:
        assert any(has(cfg, key.split('.')) for cfg in [*configs, small]), key


def has(node, names):
    for name in names:
        if not hasattr(node, 'get') or node.get(name) is None:
            return False
        node = node[name]
    return True
