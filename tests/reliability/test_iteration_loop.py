"""A run of so many iterations, that ends inside an epoch of three."""
from tests.helpers.tiny_runs import assert_same, read, record, stopped, train


def of(iterations):
    return dict(
        train_cfg=dict(
            type='IterationTrainLoop', max_iters=iterations, _delete_=True),
        param_scheduler=[
            dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)
        ])


LAST = 'epoch_2.pth'


def test_ends_goes_on_and_is_extended(data, reference, tmp_path):
    whole = tmp_path / 'whole'
    runner = train(data, whole, 'CLSA', **of(5))
    assert (runner.iter, runner.max_iters, runner.max_epochs) == (5, 5, 2)
    paths = {i: line['paths'] for i, line in record(whole).items()}
    every = {i: line['paths'] for i, line in record(reference('CLSA')).items()}
    assert paths == {i: every[i] for i in range(5)}
    last = read(whole / LAST)
    assert (last['meta']['epoch'], last['meta']['iter']) == (1, 5)
    assert last['run_state']['batches_done'] == 2
    # stopped in the first epoch and in the last
    folder = tmp_path / 'stopped'
    for number in (2, 4):
        told = dict(type='ReliabilitySignal', moment='iter', number=number)
        assert stopped(data, folder, 'CLSA', [told], **of(5)) == 143
    train(data, folder, 'CLSA', **of(5))
    assert_same(folder, whole)
    # what is finished stays so
    train(data, folder, 'CLSA', resume=True, **of(5))
    assert_same(folder, whole)
    # one more, of the batch that the epoch had left
    train(
        data,
        folder,
        'CLSA',
        resume=True,
        default_hooks__setup_check__resume_changes='apply',
        **of(6))
    assert record(folder)[5]['paths'] == every[5]
    assert read(folder / LAST)['meta']['epoch'] == 2
