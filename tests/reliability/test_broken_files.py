"""A broken file costs one warning, not the run."""
import os
import shutil

import numpy as np
import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from PIL import Image

from tests.helpers.tiny_runs import record, train


def log(folder):
    return ''.join(p.read_text() for p in folder.glob('*/*.log'))


@HOOKS.register_module(name='ReliabilityVanish')
class Vanish(Hook):
    """Removes a file while the run goes on."""

    def __init__(self, path):
        self.path = path

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            os.unlink(self.path)


@pytest.fixture
def one_of_each(data, tmp_path):
    """Of 26 pictures four are broken and one is going to vanish."""
    folder = tmp_path / 'pictures'
    shutil.copytree(data, folder)
    whole = (folder / '00.png').read_bytes()
    (folder / '03.png').write_bytes(whole[:len(whole) // 2])
    (folder / '07.png').write_bytes(b'')
    (folder / '11.png').write_text('<html>not found</html>')
    # a few kilobytes that become 1.2 GB
    Image.fromarray(np.zeros((20_000, 20_000), dtype=np.uint8)).save(
        folder / '19.png', compress_level=1)
    return folder


REASONS = {
    '03.png': 'truncated',
    '07.png': 'the file is empty',
    '11.png': 'cannot identify image file',
    '19.png': '',
    '22.png': 'No such file',
}


@pytest.mark.parametrize('workers', [0, 2])
def test_one_of_each(workers, one_of_each, tmp_path):
    work_dir = tmp_path / 'run'
    train(
        str(one_of_each),
        work_dir,
        'CLSA',
        [dict(type='ReliabilityVanish', path=str(one_of_each / '22.png'))],
        train_dataloader__num_workers=workers,
        # all of them in every epoch
        train_dataloader__batch_size=2,
        param_scheduler=[],
        default_hooks__broken=dict(type='BrokenPicturesHook'),
        log_level='WARNING')
    lines = record(work_dir)
    assert len(lines) == 26
    first, second = ({
        path
        for number in numbers
        for path in lines[number]['paths']
    } for numbers in (range(13), range(13, 26)))
    gone = set(REASONS) - {'22.png'}
    assert not first & gone and not second & set(REASONS)
    text = log(work_dir)
    assert '4 of 26 pictures cannot be read' in text
    assert '5 of 26 pictures cannot be read' in text
    if not workers:  # those of workers go to the standard error
        for name, reason in REASONS.items():
            assert text.count(f'{name} cannot be read as a picture') == 1
            assert reason in text


def test_too_many_stop_the_run_with_a_list(data, tmp_path):
    folder = tmp_path / 'pictures'
    shutil.copytree(data, folder)
    for i in range(12):
        (folder / f'{i:02d}.png').write_bytes(b'')
    with pytest.raises(
            RuntimeError,
            match=r'(?s)11 of 26 pictures .*max_broken_share=0.1 .*'
            r'remove them:.*/\d\d.png'):
        train(str(folder), tmp_path / 'run', 'CARE')
