# Copyright (c) caco_ext authors. All rights reserved.
"""Bank fill, metrics and set-up checks inside real, small runs."""
import json

import pytest
import torch
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import Dataset

import caco_ext  # noqa: F401
from tests.helpers.small_models import BACKBONE, BANK, CONFIGS, NECK


@DATASETS.register_module(name='HookTestNoise')
class Noise(Dataset):
    """Pictures of noise, the same at every reading."""

    def __init__(self, size=24, views=2):
        self.size, self.views = size, views

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        views = torch.randint(
            256, (self.views, 3, 32, 32), generator=generator)
        return dict(
            inputs=list(views.to(torch.uint8)), data_samples=torch.zeros(1))


def config(work_dir, method='CaCo', dataset=None, **changes):
    norm = dict(
        type='mmselfsup.SelfSupDataPreprocessor',
        mean=(120., ) * 3,
        std=(60., ) * 3)
    model = dict(
        dict(
            type=method, data_preprocessor=norm, backbone=BACKBONE, neck=NECK),
        **CONFIGS[method])
    if 'memory' in model and method in ('AdCo', 'CaCo'):
        model['memory'] = dict(BANK, init='fill', lr=dict(start=1., warmup=2))
    model.update(changes.pop('model', {}))
    cfg = dict(
        work_dir=str(work_dir),
        default_scope='mmselfsup',
        model=model,
        train_dataloader=dict(
            batch_size=8,
            num_workers=0,
            drop_last=True,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
            dataset=dict(dict(type='HookTestNoise'), **(dataset or {}))),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[dict(type='LinearLR', start_factor=0.1, end=2)],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=1),
            setup_check=dict(
                type='SetupCheckHook',
                resume_changes=changes.pop('resume_changes', None)),
            bank_fill=dict(type='BankFillHook'),
            metrics=dict(type='TrainingMetricsHook', interval=1)),
        custom_hooks=changes.pop('custom_hooks', []),
        log_level='WARNING',
        randomness=dict(seed=0),
        experiment_name=work_dir.name)
    cfg.update(changes)
    return cfg


def run(cfg):
    from mmengine.config import Config
    runner = Runner.from_cfg(Config(cfg))
    # Writes pages of log; torch's initialisation serves.
    runner.model.init_weights = lambda: None
    runner.train()
    return runner


def scalars(runner):
    path = f'{runner._log_dir}/vis_data/scalars.json'
    with open(path) as file:
        return [json.loads(line) for line in file]


def test_fill_runs_once_at_full_rate_before_the_first_epoch(
        tmp_path, monkeypatch):
    from caco_ext.models.memories import LearnableBank
    rates, write = [], LearnableBank.write
    runner = None

    def spy(self, keys):
        rates.append(torch.stack([keys.norm(dim=1).min()]))
        write(self, keys)

    monkeypatch.setattr(LearnableBank, 'write', spy)
    runner = run(config(tmp_path / 'first'))
    # 40 columns, 8 pictures a step, 3 steps an epoch: two passes.
    assert len(rates) == 5
    assert int(runner.model.memory.filled) == 40
    assert runner.iter == 6
    resumed = run(
        config(
            tmp_path / 'first',
            resume=True,
            resume_changes='apply',
            train_cfg=dict(by_epoch=True, max_epochs=3)))
    assert len(rates) == 5 and resumed.iter == 9


def test_fill_restores_the_learning_rate(tmp_path):
    """The fill trains at 0.1, the first epoch at the schedule's 0.01."""
    runner = run(config(tmp_path / 'rate'))
    logged = [line['lr'] for line in scalars(runner)]
    assert logged[:3] == pytest.approx([0.01] * 3)


def test_metrics_reach_the_scalars_file(tmp_path):
    runner = run(config(tmp_path / 'metrics'))
    lines = scalars(runner)
    assert len(lines) == 6
    for line in lines:
        assert {
            'loss', 'positive_probability', 'images_per_second', 'host_memory',
            'ema_momentum', 'bank_norm', 'bank_lr', 'columns_used'
        } <= set(line)
        assert 0 < line['columns_used'] <= 1
        assert line['images_per_second'] > 0
        assert 50 < line['host_memory'] < 1e5  # MiB
    # The bank's warm-up of two epochs.
    assert [line['bank_lr'] for line in lines] == [.5] * 3 + [1.] * 3
    bank = runner.model.memory
    assert lines[0]['bank_norm'] == pytest.approx(1, abs=0.2)
    assert float(bank.columns.norm(dim=0).mean()) > 1


@pytest.mark.parametrize('method', ['CLSA', 'CARE'])
def test_metrics_of_methods_without_a_bank(tmp_path, method):
    views = dict(views=3) if method == 'CLSA' else {}
    runner = run(config(tmp_path / method, method, dataset=views))
    line = scalars(runner)[-1]
    assert 'bank_norm' not in line
    assert line['ema_momentum'] == pytest.approx(
        dict(CLSA=0.999, CARE=0.9)[method])


def test_views_of_a_pipeline_are_counted():
    from caco_ext.datasets.transforms import MultiCrop
    from caco_ext.engine.hooks.setup_check_hook import _find_views

    class Wrapper:

        def __init__(self, dataset):
            self.dataset = dataset

    class Set:

        class pipeline:
            transforms = [
                object(),
                MultiCrop([[dict(type='ViewFlip')]] * 2, [2, 6])
            ]

    assert _find_views(Wrapper(Set)) == 8
    assert _find_views(object()) is None


def test_checkpoint_of_another_method_is_refused(tmp_path):
    run(config(tmp_path / 'clsa', 'CLSA', dataset=dict(views=3)))
    path = str(tmp_path / 'clsa/epoch_2.pth')
    with pytest.raises(
            ValueError,
            match='does not fit CaCo of this config.*'
            "model.type: 'CLSA' in the checkpoint, 'CaCo' now"):
        run(config(tmp_path / 'caco', resume=True, load_from=path))
    # As a start it serves: the backbone is the same.
    runner = run(config(tmp_path / 'start', load_from=path))
    assert runner.iter == 6
    # A file whose backbone is under another prefix does not.
    state = torch.load(path)['state_dict']
    torch.save(
        dict(state_dict={
            f'module.{k}': v
            for k, v in state.items()
        }), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'keys \d+ missing .backbone.bn1'):
        run(config(tmp_path / 'end', load_from=str(tmp_path / 'other.pth')))
