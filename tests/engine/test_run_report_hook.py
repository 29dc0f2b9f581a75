"""What a finished run leaves to be looked at and gone on with."""
import pytest
import torch

from caco_ext.visualization import RunReportHook, read_run
from tests.engine.test_knn_hook import (TEST, TRAIN, find_hook, make_hook,
                                        make_runner)
from tests.helpers.distributed import run_distributed

pytestmark = pytest.mark.slow

RUN_REPORT = dict(type='RunReportHook', queries=3)
PICTURES = ('curves.png', 'neighbours.png', 'report.html')
# Names of folders that are no text, and that matplotlib would set as a
# formula.
ODD = dict(suffix='\udce9 $\\frac$')


def runner_with(folder, run_report=None, epochs=2, keep=True, **options):
    knn = make_hook(
        save_features=keep,
        train_dataset=dict(TRAIN, **ODD),
        test_dataset=dict(TEST, **ODD))
    hooks = [knn, run_report or RUN_REPORT]
    cfg = dict(
        options.pop('cfg', {}),
        custom_imports=dict(imports=['tests.helpers.toy_algorithm']),
        model=dict(type='ToyAlgorithm'),
        custom_hooks=[knn])
    return make_runner(
        folder, epochs=epochs, custom_hooks=hooks, cfg=cfg, **options)


def test_pictures_and_backbone(tmp_path, monkeypatch):
    folder = tmp_path / 'a run'
    runner = runner_with(folder)
    lines = []
    runner.logger.info = lambda text, *args, **kwargs: lines.append(text)
    runner.train()
    for name in PICTURES:
        assert (folder / name).stat().st_size > 10000
    backbone = folder / 'backbone_epoch_2.pth'
    content = torch.load(backbone, weights_only=True)
    wanted = runner.model.backbone.state_dict()
    assert content['state_dict'].keys() == {f'backbone.{n}' for n in wanted}
    for name, value in wanted.items():
        assert torch.equal(content['state_dict'][f'backbone.{name}'], value)
    text = lines[-1]
    accuracy = read_run(str(folder)).knn_by_epoch()[1][-1]
    assert f'kNN top-1 after epoch 2: {accuracy:.2f} %' in text
    assert f'backbone: {backbone}' in text
    assert f'report: {folder / "report.html"}' in text
    assert 'of 15\n' in text  # three queries, five neighbours
    page = (folder / 'report.html').read_text(encoding='utf-8')
    assert 'red\ufffd $\\frac$' in page

    # Whatever drawing raises is told and nothing else happens.
    run_report = find_hook(runner, RunReportHook)
    error = RuntimeError('no room for colours')

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr('caco_ext.visualization.run_plots.draw_run', fail)
    runner.logger.error = runner.logger.info
    run_report.after_train(runner)
    assert lines[-1].startswith(
        'RunReportHook: RuntimeError: no room for colours; the run is finished'
    )
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_report.after_train(runner)


def test_without_a_report(tmp_path):
    runner_with(tmp_path, dict(RUN_REPORT, report=False), epochs=1).train()
    assert (tmp_path / 'neighbours.png').exists()
    assert not (tmp_path / 'report.html').exists()


def errors_of(runner):
    lines = []
    runner.logger.error = lambda text, *args, **kwargs: lines.append(text)
    runner.train()
    return lines


def test_a_finished_run_does_not_fail_by_its_pictures(tmp_path):
    """What cannot be written is told; the training is kept."""
    (tmp_path / 'curves.png').mkdir()
    error, = errors_of(runner_with(tmp_path, epochs=1))
    assert 'curves.png' in error and 'plot_run.py' in error
    assert (tmp_path / 'epoch_1.pth').exists()


def test_features_of_another_checkpoint_are_not_taken(tmp_path):
    hooks = dict(
        checkpoint=dict(type='CheckpointHook', interval=2, save_last=False))
    runner = runner_with(tmp_path, epochs=3, default_hooks=hooks)
    error, = errors_of(runner)
    assert f'no features of {tmp_path / "epoch_2.pth"} beside it' in error


def test_errors_come_before_the_training(tmp_path):
    with pytest.raises(ValueError, match='knn.save_features=True'):
        runner_with(tmp_path, keep=False).train()
    assert not list(tmp_path.glob('*.pth'))
    with pytest.raises(ValueError, match='queries=0 of RunReportHook'):
        runner_with(tmp_path, dict(RUN_REPORT, queries=0))


def _train_on_two(folder):
    runner = runner_with(
        folder,
        launcher='pytorch',
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel', device_ids=None)))
    return errors_of(runner)


def test_two_processes(tmp_path):
    assert run_distributed(_train_on_two, 2, str(tmp_path)) == [[], []]
    for name in PICTURES:
        assert (tmp_path / name).stat().st_size > 10000


def test_a_run_without_knn_has_the_rest(tmp_path):
    cfg = dict(
        custom_imports=dict(imports=['tests.helpers.toy_algorithm']),
        model=dict(type='ToyAlgorithm'))
    runner = make_runner(
        tmp_path, epochs=1, custom_hooks=[RUN_REPORT], cfg=cfg)
    lines = []
    runner.logger.info = lambda text, *args, **kwargs: lines.append(text)
    assert errors_of(runner) == []
    assert 'neighbours: none, as the run has no KNNHook' in lines[-1]
    assert (tmp_path / 'backbone_epoch_1.pth').exists()
    for name in ('curves.png', 'report.html'):
        assert (tmp_path / name).stat().st_size > 10000
    assert not (tmp_path / 'neighbours.png').exists()
