"""tools/quickstart.sh on a few pictures, without its set-up."""
import fcntl
import os
import os.path as osp

import pytest

from tests.helpers import ROOT
from tests.helpers.processes import run, write_config
from tests.helpers.warm_python import warm_python

pytestmark = pytest.mark.slow


@pytest.fixture
def quickstart(tmp_path):
    """Run quickstart.sh of a clone whose environment is this one."""
    clone = tmp_path / 'a clone'
    for name in ('caco_ext', 'configs', 'tools/analysis_tools',
                 'tools/model_converters', 'tools/train.py',
                 'tools/quickstart.sh'):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).symlink_to(osp.join(ROOT, name))
    # The real file, because it says where the clone is.
    with open(osp.join(ROOT, 'tools', 'common.sh'), encoding='utf-8') as f:
        (clone / 'tools' / 'common.sh').write_text(f.read())
    (clone / 'tools' / 'setup_env.sh').write_text('')
    python = clone / '.venv' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text('#!/usr/bin/env bash\n'
                      f'export PYTHONPATH="{ROOT}"\n'
                      f'exec {warm_python()!r} "$@"\n')
    python.chmod(0o755)
    write_config(tmp_path)
    data = tmp_path / 'data'
    knn = 'default_hooks.knn'
    options = ('--cfg-options', 'train_cfg.max_epochs=1',
               'model.memory.num_columns=32', 'train_dataloader.batch_size=4',
               'train_dataloader.num_workers=0',
               'train_dataloader.persistent_workers=False',
               f'train_dataloader.dataset.data_root={data}',
               f'{knn}.train_dataset.data_root={data}',
               f'{knn}.test_dataset.data_root={data}', f'{knn}.k=3',
               f'{knn}.num_workers=0', 'default_hooks.checkpoint.interval=1',
               'default_hooks.setup_check.allow_cut_schedule=True')

    def start(*arguments, **kwargs):
        return run(
            'bash',
            clone / 'tools' / 'quickstart.sh',
            *options,
            *arguments,
            cwd=tmp_path,
            **kwargs)

    start.folder = clone / 'work_dirs' / 'quickstart'
    return start


def test_quickstart(quickstart):
    output = quickstart()
    folder = quickstart.folder
    for name in ('report.html', 'curves.png', 'neighbours.png', 'epoch_1.pth',
                 'backbone_epoch_1.pth'):
        assert os.path.getsize(folder / name) > 1000
        assert name in output[output.index('[quickstart] done'):]
    changed = os.path.getmtime(folder / 'epoch_1.pth')

    output = quickstart()
    assert 'holds a finished run, which is kept' in output
    assert 'Epoch(train)' not in output
    output = quickstart('model.memory.momentum=0.5', fails=True)
    assert output.strip().endswith('holds a run with other arguments; name '
                                   'another --work-dir')
    assert os.path.getmtime(folder / 'epoch_1.pth') == changed

    (folder / 'quickstart-finished').unlink()
    with open(folder / '.quickstart.lock') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        output = quickstart(fails=True)
    assert output.strip().endswith(
        'another quick start works in work_dirs/quickstart; wait for its end, '
        'or name another --work-dir')
    output = quickstart(HOME='/proc/1/none')
    assert 'cannot write in /proc/1/none/.cache/caco_ext: the ' in output
    assert 'holds an unfinished run: continuing' in output
    assert 'epoch: 1, iter: 2' in output
    assert (folder / 'quickstart-finished').exists()
