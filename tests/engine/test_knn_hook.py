"""kNN during a run: results, where they go, and what it leaves alone."""
import copy
import json
import os.path as osp

import pytest
import torch
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.nn import functional as F

from caco_ext.engine.hooks.knn_hook import KNNHook
from caco_ext.evaluation import (KNNFeatures, build_feature_loader,
                                 features_and_labels, knn_accuracy)
from tests.helpers.distributed import run_distributed
from tests.helpers.toy_algorithm import ToyAlgorithm, ToyPictures

TRAIN = dict(type='ToyPictures', counts=(9, 10, 8))
TEST = dict(type='ToyPictures', counts=(12, 10, 11), seed=1)  # odd


def make_hook(**options):
    options = dict(dict(num_workers=0, k=5, batch_size=10), **options)
    return dict(
        dict(type='KNNHook', train_dataset=TRAIN, test_dataset=TEST),
        **options)


def make_runner(work_dir, hook=None, epochs=3, **options):
    """A run of three epochs with two iterations each."""
    cfg = dict(
        model=dict(type='ToyAlgorithm'),
        work_dir=str(work_dir),
        experiment_name=osp.basename(str(work_dir)),
        train_dataloader=dict(
            dataset=TRAIN,
            batch_size=13,
            num_workers=0,
            drop_last=True,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=True)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=1)),
        custom_hooks=[hook] if hook else [],
        randomness=dict(seed=0),
        log_level='WARNING')
    cfg.update(options)
    return Runner(**copy.deepcopy(cfg))


def find_hook(runner, kind=KNNHook):
    hook, = [h for h in runner.hooks if isinstance(h, kind)]
    return hook


def read_scalars(runner):
    path = osp.join(runner.log_dir, 'vis_data', 'scalars.json')
    with open(path) as file:
        return [json.loads(line) for line in file]


def test_hook_is_registered():
    assert HOOKS.get('KNNHook') is KNNHook


def test_results_are_logged_every_epoch(tmp_path, caplog):
    runner = make_runner(tmp_path, make_hook(), log_level='INFO')
    lines = []
    runner.logger.info = lambda text, *args, **kwargs: lines.append(text)
    runner.train()
    rows = [r for r in read_scalars(runner) if 'knn/top1' in r]
    assert [r['step'] for r in rows] == [0, 1, 2, 3]
    for row in rows:
        assert 0 <= row['knn/top1'] <= 100
        assert 'knn/top5' not in row  # of three classes
    history = runner.message_hub.get_scalar('val/knn_top1').data[0]
    assert history.tolist() == [r['knn/top1'] for r in rows]
    lines = [t for t in lines if 'knn/top1' in t and 'Epoch(val)' in t]
    assert len(lines) == 4
    assert lines[0].startswith('Epoch(val) [0]') and 'untrained' in lines[0]
    assert lines[3] == f'Epoch(val) [3]  knn/top1: {rows[3]["knn/top1"]:.2f}'
    # the number is that of the trained model
    expected = find_hook(runner).evaluate(runner)
    assert expected['knn/top1'] == rows[3]['knn/top1']


@pytest.mark.slow
@pytest.mark.parametrize('options, steps', [
    (dict(interval=2), [0, 2, 3]),
    (dict(interval=100), [0, 3]),
    (dict(interval=2, before_train=False), [2, 3]),
])
def test_interval(tmp_path, options, steps):
    runner = make_runner(tmp_path, make_hook(**options))
    runner.train()
    rows = [r for r in read_scalars(runner) if 'knn/top1' in r]
    assert [r['step'] for r in rows] == steps


def test_evaluate_without_training(tmp_path):
    """As tools/test.py does; also equal to the functions used by hand."""
    six = dict(classes=tuple(ToyPictures.COLOURS), noise=150.)
    hook = make_hook(
        k=[3, 7],
        train_share=0.5,
        train_dataset=dict(TRAIN, counts=(9, 10, 8, 9, 9, 9), **six),
        test_dataset=dict(TEST, counts=(12, 10, 11, 5, 5, 5), **six))
    runner = make_runner(tmp_path, hook)
    hook = find_hook(runner)
    result = hook.evaluate(runner)
    assert result['knn/top5_k3'] < result['knn/top5_k7'] < 100
    assert tuple(result) == hook.metric_names == ('knn/top1_k3', 'knn/top5_k3',
                                                  'knn/top1_k7', 'knn/top5_k7')
    train, test = hook.data.parts
    assert len(train.indices) == 4 + 5 + 4 + 4 + 4 + 4
    assert len(test.indices) == 48 and hook.data.num_classes == 6
    bank, bank_labels = features_and_labels(
        runner.model,
        build_feature_loader(train.dataset, train.indices, train.labels))
    query, query_labels = features_and_labels(
        runner.model, build_feature_loader(test.dataset))
    expected = knn_accuracy(bank, bank_labels, query, query_labels, [3, 7])
    assert result == {f'knn/{n}': v for n, v in expected.items()}
    assert runner._train_loop is None or isinstance(runner._train_loop, dict)


@pytest.mark.slow
def test_training_is_the_same_with_and_without(tmp_path):
    states = []
    for name, hook in (('without', None), ('with', make_hook()),
                       ('workers', make_hook(num_workers=1))):
        runner = make_runner(tmp_path / name, hook)
        runner.train()
        states.append(runner.model.state_dict())
    for other in states[1:]:
        for key, value in states[0].items():
            assert torch.equal(value, other[key]), key
    assert not torch.equal(states[0]['backbone.two.0.weight'],
                           ToyAlgorithm().backbone.two[0].weight)


@pytest.mark.slow
@pytest.mark.parametrize('interval', [1, 2, 100])
def test_best_checkpoint(tmp_path, monkeypatch, interval):
    values = iter([30., 50., 90., 70.])
    monkeypatch.setattr(
        KNNHook, 'evaluate', lambda *_, keep: {
            'knn/top1': next(values),
            'knn/top5': 100.
        })
    checkpoint = dict(
        type='CheckpointHook', interval=interval, save_best='knn/top1')
    runner = make_runner(
        tmp_path, make_hook(), default_hooks=dict(checkpoint=checkpoint))
    runner.train()
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == [
        'best_knn_top1_epoch_2.pth'
    ] + [f'epoch_{e}.pth' for e in (1, 2, 3) if e % interval == 0 or e == 3]
    best = torch.load(
        tmp_path / 'best_knn_top1_epoch_2.pth', weights_only=False)
    assert best['meta']['epoch'] == 2 and best['meta']['iter'] == 4
    last = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)
    assert last['meta']['epoch'] == 3 and last['meta']['iter'] == 6
    hub = last['message_hub']['runtime_info']
    assert hub['best_score'] == 90.
    assert hub['best_ckpt'].endswith('best_knn_top1_epoch_2.pth')
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_3.pth')
    if interval == 1:
        second = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
        assert second['meta']['epoch'] == 2
        assert torch.equal(second['state_dict']['backbone.one.0.weight'],
                           best['state_dict']['backbone.one.0.weight'])


@pytest.mark.slow
def test_untrained_network_is_not_evaluated_on_resume(tmp_path):
    make_runner(tmp_path, make_hook(), epochs=2).train()
    runner = make_runner(tmp_path, make_hook(), epochs=3, resume=True)
    runner.train()
    rows = [r for r in read_scalars(runner) if 'knn/top1' in r]
    assert [r['step'] for r in rows] == [3]


def test_failing_evaluation_stops_the_run(tmp_path, monkeypatch):
    runner = make_runner(tmp_path, make_hook())

    def fail(*_, keep):
        raise RuntimeError('out of luck')

    monkeypatch.setattr(KNNHook, 'evaluate', fail)
    with pytest.raises(RuntimeError, match='out of luck'):
        runner.train()


@pytest.mark.parametrize('options, message', [
    (dict(interval=0), 'interval=0 of KNNHook must be an integer of at l'),
    (dict(interval=1.5), 'interval=1.5 of KNNHook'),
    (dict(num_workers=-1), 'num_workers=-1 of KNNHook'),
    (dict(batch_size=0), 'batch_size=0 of KNNHook'),
    (dict(train_share=0), 'train_share=0 of KNNHook'),
    (dict(train_share=20), 'train_share=20 of KNNHook'),
    (dict(k=-1), 'k=-1: the number'),
    (dict(k=[]), r'k=\[\]: name'),
    (dict(temperature=-1), 'temperature=-1 must'),
])
def test_bad_options_at_build(options, message):
    with pytest.raises(ValueError, match=message):
        HOOKS.build(make_hook(**options))


@pytest.mark.slow
@pytest.mark.parametrize('options, message', [
    (dict(train_dataset=dict(TRAIN, with_labels=False)),
     'labelless data set with kNN on: picture 0 of train_dataset'),
    (dict(test_dataset=dict(TEST, with_labels=False)),
     'labelless data set with kNN on: picture 0 of test_dataset'),
    (dict(k=28), 'k=28 neighbours, but train_share=1.0'),
    (dict(k=[1, 14], train_share=0.5), 'k=14 neighbours, but train_share=0.5'),
    (dict(train_dataset=dict(TRAIN, counts=(9, 9), classes=('red', 'blue'))),
     "'green' first, do not occur in train_dataset"),
])
def test_bad_data_before_training(tmp_path, options, message):
    runner = make_runner(tmp_path, make_hook(**options))
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0


def test_bad_surroundings(tmp_path):
    runner = make_runner(
        tmp_path / 'a',
        make_hook(),
        train_cfg=dict(by_epoch=False, max_iters=3))
    with pytest.raises(ValueError, match='IterBasedTrainLoop'):
        runner.train()
    runner = make_runner(
        tmp_path / 'b',
        make_hook(k=[1, 2]),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', save_best='knn/top1')))
    with pytest.raises(ValueError, match="'knn/top1' is none.*knn/top1_k1"):
        runner.train()
    runner = make_runner(tmp_path / 'c', make_hook())
    runner.model.encoder = runner.model._modules.pop('backbone')
    with pytest.raises(ValueError, match='needs model.backbone'):
        runner.train()


def _train_in_group(work_dir):
    runner = make_runner(
        work_dir,
        make_hook(k=[1, 5]),
        launcher='pytorch',
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', interval=1, save_best='knn/top1_k5')),
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel', device_ids=None)))
    runner.train()
    return find_hook(runner).evaluate(runner)


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path):
    results = run_distributed(_train_in_group, 2, str(tmp_path))
    assert results[0] == results[1]
    runner = make_runner(tmp_path / 'alone', make_hook(k=[1, 5]))
    runner.load_checkpoint(str(tmp_path / 'epoch_3.pth'))
    assert find_hook(runner).evaluate(runner) == results[0]
    assert len(list(tmp_path.glob('best_knn_top1_k5_epoch_*.pth'))) == 1


def test_features_are_kept_with_the_iteration_they_belong_to(tmp_path):
    runner = make_runner(tmp_path, make_hook(save_features=True), epochs=2)
    runner.train()
    made = find_hook(runner).extract(runner.model)
    kept = KNNFeatures.load(str(tmp_path), runner.iter)
    for name, value in vars(made).items():
        torch.testing.assert_close(getattr(kept, name), value)
    assert KNNFeatures.load(str(tmp_path), runner.iter - 1) is None
    # What is kept gives the accuracy that was logged.
    parts = find_hook(runner).data.parts
    labels, truth = (torch.as_tensor(part.labels) for part in parts)
    again = knn_accuracy(
        F.normalize(kept.train), labels[kept.train_index],
        F.normalize(kept.test), truth[kept.test_index], 5, 0.2)
    logged = [r for r in read_scalars(runner) if 'knn/top1' in r][-1]
    assert logged['knn/top1'] == pytest.approx(again['top1'])


@pytest.mark.slow
@pytest.mark.parametrize('best, key', [
    ('knn/top1_k3', 'best_ckpt'),
    (['knn/top1_k3', 'knn/top1_k5'], 'best_ckpt_knn/top1_k3'),
])
def test_another_runs_best_checkpoint_stays(tmp_path, best, key):
    """As where a run goes on in another folder with --resume FILE."""
    here, there = tmp_path / 'here', tmp_path / 'there'
    here.mkdir()
    there.mkdir()
    for folder in (here, there):
        (folder / 'best_0.pth').write_bytes(b'best')
    hook = dict(type='ResumableCheckpointHook', save_best=best, rule='greater')
    runner = make_runner(
        here,
        make_hook(k=[3, 5]),
        epochs=1,
        default_hooks=dict(checkpoint=hook))
    runner.message_hub.update_info(key, str(there / 'best_0.pth'))
    runner.train()
    assert (here / 'best_knn_top1_k3_epoch_1.pth').exists()
    assert (there / 'best_0.pth').exists()
    assert not (here / 'best_0.pth').exists()
