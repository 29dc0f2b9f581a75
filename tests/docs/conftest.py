"""A clone after its set-up, in which commands of the pages end soon."""
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from tests.helpers import ROOT
from tests.helpers import original_checkpoints as originals
from tests.helpers.processes import (QUICK_START, SMALL, as_user, install,
                                     make_environment)


def write_pictures(folder, parts):
    """Write crops of two photographs: ``folder/PART/NAME/N.png``."""
    import numpy as np

    from caco_ext.datasets.photo_patches import crop_boxes, photographs
    for name, picture in photographs():
        if name not in ('astronaut', 'chelsea'):
            continue
        boxes = crop_boxes(*picture.size, np.random.default_rng(0))
        boxes = [box for part, _, box in boxes if part == 'train']
        for part, first, last in parts:
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for i in range(first, last):
                patch = picture.crop(boxes[i]).resize((64, 64))
                patch.save(folder / part / name / f'{i}.png')


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """A clone after its set-up, whose small configs are still smaller, with
    the reader's pictures and a run in ``work_dirs/quickstart``."""
    clone = tmp_path_factory.mktemp('docs') / 'clone'
    left_out = shutil.ignore_patterns('.*', 'work_dirs', 'build', 'dist',
                                      'tests', '*.egg-info', '__pycache__')
    shutil.copytree(ROOT, clone, ignore=left_out)
    python, _ = make_environment(clone / '.venv')
    install(python, clone, '-e', clone)

    data = clone / 'few'
    write_pictures(data, [('train', 0, 4), ('val', 4, 6)])
    write_pictures(clone / 'pictures', [('', 0, 12)])
    (clone / 'data').mkdir()
    (clone / 'data' / 'imagenet').symlink_to(data)
    for name, number in (('cat', 0), ('dog', 1)):
        shutil.copy(data / f'train/chelsea/{number}.png',
                    clone / f'{name}.jpg')
    for path in (clone / 'configs/selfsup').glob('*/*_photopatches.py'):
        text = SMALL.format(
            base=str(ROOT / path.relative_to(clone)), data=str(data))
        if path.parent.name in ('adco', 'caco', 'clsa'):
            text += 'model = dict(memory=dict(num_columns=32))\n'
        path.write_text(text)

    as_user(
        clone, f'python tools/train.py {QUICK_START} --report --work-dir '
        'work_dirs/quickstart --cfg-options train_cfg.max_epochs=15 '
        'default_hooks.checkpoint.interval=15 '
        'default_hooks.setup_check.allow_cut_schedule=False')
    checkpoint = clone / 'work_dirs/quickstart/epoch_15.pth'
    for name in ('CHECKPOINT', 'FILE'):
        (clone / name).symlink_to(checkpoint)
    (clone / 'FOLDER').mkdir()
    originals.small(str(clone / 'SRC.pth.tar'), 'caco')
    # Where CARE looks does not ask how long it was trained.
    care, = (clone / 'configs/selfsup').glob('care/*_photopatches.py')
    cfg = Config.fromfile(care)
    state = MODELS.build(cfg.model).state_dict()
    (clone / 'work_dirs/care').mkdir()
    torch.save(
        dict(state_dict=state, meta=dict(cfg=cfg.pretty_text)),
        clone / 'work_dirs/care/epoch_15.pth')
    yield clone
    shutil.rmtree(clone)  # a gigabyte
