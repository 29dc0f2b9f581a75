"""Pictures of a run in what shows its numbers, and its record."""
import io
import json
import os.path as osp

import numpy as np
import pytest
import torch
from mmengine.registry import VISBACKENDS
from mmengine.visualization.vis_backend import BaseVisBackend
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import \
    EventAccumulator

from caco_ext.engine.hooks import RunRecordHook
from tests.engine.test_knn_hook import make_hook, make_runner, read_scalars
from tests.helpers.distributed import run_distributed

pytestmark = pytest.mark.slow

PREVIEW = dict(type='VisualizationHook', interval=2, queries=3, neighbours=2)


@VISBACKENDS.register_module(force=True)
class Album(BaseVisBackend):
    """Keeps what it is given."""

    def __init__(self, save_dir):
        super().__init__(save_dir)
        self.pictures = {}

    def _init_env(self):
        self._env_initialized = True

    experiment = property(lambda self: self)

    def add_image(self, name, image, step=0, **kwargs):
        self.pictures[name, step] = image


def runner_with(folder, *hooks, epochs=3, **options):
    backends = [dict(type='Album'), dict(type='LocalVisBackend')]
    return make_runner(
        folder,
        epochs=epochs,
        custom_hooks=list(hooks),
        visualizer=dict(type='Visualizer', vis_backends=backends),
        **options)


def test_pictures_reach_every_back_end(tmp_path):
    runner = runner_with(tmp_path, make_hook(), PREVIEW)
    runner.train()
    album = runner.visualizer.get_backend('Album').pictures
    # every second epoch, and the last
    assert sorted(album) == [('attention', 2), ('attention', 3),
                             ('neighbours', 2), ('neighbours', 3)]
    folder = osp.join(runner.log_dir, 'vis_data', 'vis_image')
    for (name, step), picture in album.items():
        assert picture.dtype == np.uint8 and picture.shape[2] == 3
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
        with Image.open(osp.join(folder, f'{name}_{step}.png')) as file:
            assert (np.asarray(file.convert('RGB')) == picture).all()


def test_tensorboard(tmp_path):
    """What is read back from its file: pictures, numbers, the config."""
    backends = [
        dict(type=f'{name}VisBackend') for name in ('Local', 'Tensorboard')
    ]
    runner = make_runner(
        tmp_path,
        epochs=3,
        custom_hooks=[make_hook(), PREVIEW],
        cfg=dict(note='as it was'),
        visualizer=dict(type='Visualizer', vis_backends=backends))
    runner.train()
    folder = osp.join(runner.log_dir, 'vis_data')
    events = EventAccumulator(folder, dict(images=0, scalars=0, tensors=0))
    events.Reload()
    for name in ('neighbours', 'attention'):
        logged = events.Images(name)
        assert [one.step for one in logged] == [2, 3]
        for one in logged:
            path = osp.join(folder, 'vis_image', f'{name}_{one.step}.png')
            with Image.open(path) as mine, Image.open(
                    io.BytesIO(one.encoded_image_string)) as its:
                assert (np.asarray(
                    mine.convert('RGB')) == np.asarray(its)).all()
    wanted = [r['loss'] for r in read_scalars(runner) if 'loss' in r]
    assert [one.value for one in events.Scalars('loss')
            ] == pytest.approx(wanted) and len(wanted) == 6
    assert {'knn/top1', 'lr'} <= set(events.Tags()['scalars'])
    text, = events.Tensors('config/text_summary')
    assert b'as it was' in text.tensor_proto.string_val[0]


def test_the_training_is_the_same(tmp_path):
    losses = []
    for name, hooks in (('with', [PREVIEW]), ('without', [])):
        torch.manual_seed(0)
        runner = runner_with(tmp_path / name, make_hook(), *hooks)
        runner.train()
        losses.append([r['loss'] for r in read_scalars(runner) if 'loss' in r])
    assert losses[0] == losses[1] and len(losses[0]) == 6


def test_without_attention(tmp_path):
    runner = runner_with(
        tmp_path, make_hook(), dict(PREVIEW, attention=False), epochs=1)
    runner.train()
    album = runner.visualizer.get_backend('Album').pictures
    assert list(album) == [('neighbours', 1)]


def test_training_goes_on_without_what_cannot_be_drawn(tmp_path, monkeypatch):

    def fail(*args, **kwargs):
        raise KeyError('a colour')

    monkeypatch.setattr('caco_ext.visualization.static.gallery_picture', fail)
    runner = runner_with(tmp_path, make_hook(), PREVIEW, epochs=1)
    lines = []
    runner.logger.error = lambda text, *args, **kwargs: lines.append(text)
    runner.train()
    assert runner.iter == 2 and lines == [
        "VisualizationHook: KeyError: 'a colour'; the training goes on "
        'without these pictures'
    ]


def test_errors_come_before_the_training(tmp_path):
    with pytest.raises(ValueError, match='data sets of KNNHook, which is not'):
        runner_with(tmp_path, PREVIEW).train()
    for option in ('interval', 'queries', 'neighbours'):
        with pytest.raises(
                ValueError, match=f'{option}=0 of VisualizationHook'):
            runner_with(tmp_path / option, make_hook(),
                        dict(PREVIEW, **{option: 0}))


def _train_on_two(folder):
    runner = runner_with(
        folder,
        make_hook(),
        PREVIEW,
        epochs=2,
        launcher='pytorch',
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel', device_ids=None)))
    runner.train()
    album = runner.visualizer.get_backend('Album')  # None on other ranks
    return sorted(album.pictures) if album else []


def test_two_processes(tmp_path):
    pictures = run_distributed(_train_on_two, 2, str(tmp_path))
    assert pictures == [[('attention', 2), ('neighbours', 2)], []]


def test_record_of_a_run(tmp_path):
    runner = runner_with(tmp_path, dict(type='RunRecordHook'), epochs=1)
    runner.train()
    path = osp.join(runner.log_dir, 'vis_data', 'run.json')
    with open(path) as file:
        record = json.load(file)
    assert record['epoch_length'] == 2 and record['processes'] == 1
    assert record['seed'] == 0 and record['begins_at_iteration'] == 0
    assert record['versions']['torch'].startswith(torch.__version__[:3])
    assert {'commit', 'hardware', 'command', 'started'} <= set(record)
    assert any(isinstance(h, RunRecordHook) for h in runner.hooks)
