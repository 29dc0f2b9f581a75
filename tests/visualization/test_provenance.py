"""Config, base, results and record of a run."""
import json
import subprocess

import pytest
from mmengine.config import Config

from caco_ext.transfer.results import write_results
from caco_ext.utils.config_files import config_path
from caco_ext.visualization.panels import Code, Note, Table
from caco_ext.visualization.provenance import (_differences, _flatten,
                                               config_panels, find_base,
                                               record_panels, results_panel)
from caco_ext.visualization.run_logs import RunLog

QUICK = 'caco/caco_resnet18_1xb64-sym-coslr-15e_photopatches.py'


@pytest.fixture
def run(tmp_path):
    """A run of the quick start with two options changed."""
    cfg = Config.fromfile(config_path(QUICK))
    cfg.merge_from_dict({
        'model.memory.num_columns': 32,
        'train_cfg.max_epochs': 3,
        'optim_wrapper.clip_grad': dict(max_norm=1.),
        'work_dir': str(tmp_path),
    })
    (tmp_path / 'config.py').write_text(cfg.pretty_text)
    return RunLog(str(tmp_path), config=str(tmp_path / 'config.py'))


def test_flatten():
    nested = dict(a=dict(b=(1, 2), c=[dict(d=3)], e={}), f=None)
    assert _flatten(nested) == {
        'a.b': [1, 2],
        'a.c.0.d': 3,
        'a.e': {},
        'f': None
    }


def test_what_differs_from_the_base(run):
    table, code = config_panels(run)
    assert isinstance(table, Table) and QUICK.split('/')[1] in table.title
    assert sorted(table.rows) == [
        ('model.memory.num_columns', '1024', '32'),
        ('optim_wrapper.clip_grad.max_norm', '(absent)', '1.0'),
        ('train_cfg.max_epochs', '15', '3'),
    ]
    assert isinstance(code, Code) and 'num_columns=32' in code.text


def test_a_run_that_changes_nothing(run):
    base = Config.fromfile(config_path(QUICK))
    assert _differences(base, base) == []
    with open(run.config, 'w') as file:
        file.write(base.pretty_text)
    note, _ = config_panels(run)
    assert isinstance(note, Note) and 'Nothing differs' in note.text


@pytest.mark.slow
def test_a_named_base_and_none(run, tmp_path):
    other = QUICK.replace('sym-', 'sym-48px-')
    assert find_base(run, Config.fromfile(run.config)) == config_path(QUICK)
    # a copy in the folder says which config it was
    (tmp_path / other.split('/')[1]).touch()
    assert find_base(run, Config.fromfile(run.config)) == config_path(other)
    table, _ = config_panels(run, config_path(QUICK))
    assert QUICK.split('/')[1] in table.title
    foreign = Config(dict(model=dict(type='Foreign')))
    assert find_base(RunLog(str(tmp_path / 'x')), foreign) is None
    assert 'no config.py' in config_panels(RunLog('.'))[0].text


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    'baselines/mocov2_resnet18_1xb64-2view-coslr-15e_photopatches.py',
    'clsa/clsa-byol_resnet50_16xb256-single-coslr-200e_in1k.py'
])
def test_the_config_that_the_run_noted(tmp_path, name):
    path = config_path(name)
    cfg = Config.fromfile(path)
    # noted on another machine
    log = RunLog(str(tmp_path), record=dict(config=f'/gone/{name}'))
    assert find_base(log, cfg) == path
    # a config of the user's own: what that changes is to be seen as well
    mine = tmp_path / 'mine.py'
    mine.touch()
    log = RunLog(str(tmp_path), record=dict(config=str(mine)))
    # the nearest of the method, in whichever folder it is
    assert find_base(log, cfg) == path
    assert find_base(log, Config(dict(model=dict(type='Mine')))) == str(mine)


def test_results_of_benchmarks(tmp_path):
    folder = tmp_path / 'deep' / 'down'
    folder.mkdir(parents=True)
    assert 'No results.json' in results_panel([str(tmp_path)]).text
    write_results(
        str(folder),
        'linear_imagenet',
        'how', {'accuracy/top1': 61.23456},
        dict(path='/x/backbone.pth'),
        best={'accuracy/top1': dict(value=62., iter=3)})
    table = results_panel([str(tmp_path), str(folder)])  # found once
    assert table.rows == [('linear_imagenet', 'accuracy/top1', '61.23', '62',
                           'backbone.pth', 'how')]
    (folder / 'results.json').write_text(json.dumps(dict(task='x')))
    with pytest.raises(ValueError, match='no result of a benchmark'):
        results_panel([str(tmp_path)])


def test_record():
    log = RunLog('.', record=dict(epoch_length=3, versions=dict(torch='2')))
    table, = record_panels(log)
    assert table.rows == [('epoch length', '3'), ('versions', 'torch 2')]
    assert 'RunRecordHook was not' in record_panels(RunLog('.'))[0].text


def test_commit_of_the_clone():
    from caco_ext.utils.environment import commit, hardware
    head = subprocess.run(['git', 'rev-parse', 'HEAD'],
                          capture_output=True,
                          text=True)
    if head.returncode == 0:
        assert commit().split(' and changes')[0] == head.stdout.strip()
    else:  # the tests of a source distribution
        assert commit() is None
    assert 'cores' in hardware() and 'GiB' in hardware()
