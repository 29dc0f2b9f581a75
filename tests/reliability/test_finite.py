"""Numbers gone wrong stop a run, or are left out, before they spread."""
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from caco_ext.engine.hooks import FiniteCheckHook, NonFiniteError
from tests.helpers.tiny_runs import METHODS, differences, read, record, train


@HOOKS.register_module(name='ReliabilityPoison')
class Poison(Hook):
    """Puts NaN or infinity into one part of a run.

    Args:
        what (str): 'gradient', 'input', 'bank' or 'velocity'.
        iters (Sequence[int]): The iterations, from 1.
        value (float): NaN or infinity.
        rank (int): The rank that is met.
    """

    priority = 'LOW'

    def __init__(self, what, iters, value=float('nan'), rank=0):
        self.what, self.iters = what, iters
        self.value, self.rank = value, rank
        self.fill = 0

    def before_fill_iter(self, runner, data_batch):
        self.fill += 1
        if self.what == 'fill' and self.fill in self.iters:
            self.strike(runner, 'input')

    def before_train_iter(self, runner, batch_idx, data_batch):
        if runner.iter + 1 in self.iters:
            self.strike(runner, self.what)

    def strike(self, runner, what):
        from mmengine.dist import get_rank
        if get_rank() != self.rank:
            return
        model = getattr(runner.model, 'module', runner.model)
        if what == 'gradient':
            handle = model.backbone.conv1.weight.register_hook(
                lambda grad: handle.remove() or grad * self.value)
        elif what == 'input':
            handle = model.backbone.register_forward_pre_hook(
                lambda module, args: handle.remove() or
                (args[0] * self.value, ))
        else:
            part = dict(bank='columns', velocity='velocity')[what]
            getattr(model.memory, part)[3, 5] = self.value


def poison(what, *iters, **options):
    return dict(type='ReliabilityPoison', what=what, iters=iters, **options)


@pytest.mark.parametrize('method, what, value, wrong', [
    ('AdCo', 'gradient', float('inf'), 'of the gradients backbone.conv1.weig'),
    ('CaCo', 'bank', float('nan'), 'of the buffers memory.columns'),
    ('CLSA', 'bank', float('inf'), 'of the buffers memory.columns'),
    ('CARE', 'input', float('nan'), 'the loss is nan'),
])
def test_stops_with_all_that_is_known(method, what, value, wrong, data,
                                      reference, tmp_path):
    with pytest.raises(NonFiniteError) as caught:
        train(data, tmp_path, method, [poison(what, 5, value=value)])
    text = str(caught.value)
    assert text.startswith('iteration 5 came to NaN or infinity: ')
    assert wrong in text
    for path in record(reference(method))[4]['paths']:
        assert path in text
    assert text.count('.png') == 8
    assert f'The last good checkpoint is {tmp_path}/epoch_1.pth' in text
    assert sorted(record(tmp_path)) == [0, 1, 2, 3]


def test_velocity_is_found_an_iteration_later(data, tmp_path):
    with pytest.raises(
            NonFiniteError, match='iteration 6 .*buffers memory.columns'):
        train(data, tmp_path, 'AdCo', [poison('velocity', 5)])


def test_in_the_fill(data, tmp_path):
    with pytest.raises(
            NonFiniteError,
            match='the fill before iteration 1 came .*no checkpoint yet'):
        train(
            data,
            tmp_path,
            'CaCo', [poison('fill', 3)],
            default_hooks__finite_check__max_skipped=5)


def test_what_is_wrong_is_not_saved(data, tmp_path):
    """Bad in the last step before the checkpoint: the bank's own."""
    with pytest.raises(
            NonFiniteError, match='after iteration 6 .*not saved.*epoch_1'):
        train(data, tmp_path, 'AdCo', [poison('velocity', 6)])
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_bad_steps_are_left_out_and_counted(method, data, tmp_path):
    runner = train(
        data,
        tmp_path / 'skip',
        method, [poison('input', 5)],
        default_hooks__finite_check__max_skipped=1)
    assert runner.message_hub.get_scalar('train/skipped_steps').current() == 1
    # Weights, bank, key encoder, batch norms and optimizer are those of a
    # run that had no fifth iteration.
    state = read(tmp_path / 'skip/epoch_2.pth')
    for value in state['state_dict'].values():
        assert value.isfinite().all()
    before = {}

    class Keep(Hook):

        def before_train_iter(self, runner, *args, **kwargs):
            if runner.iter == 4:
                before.update({
                    k: v.clone()
                    for k, v in runner.model.state_dict().items()
                })

    after = {}

    class KeepAfter(Hook):

        def after_train_iter(self, runner, *args, **kwargs):
            if runner.iter == 4:
                after.update({
                    k: v.clone()
                    for k, v in runner.model.state_dict().items()
                })

    train(
        data,
        tmp_path / 'keep',
        method, [poison('input', 5),
                 dict(type=Keep),
                 dict(type=KeepAfter)],
        default_hooks__finite_check__max_skipped=1)
    # The average moved before the pass, with the step of iteration 4.
    moved = {
        name
        for name in differences(before, after)
        if not name.startswith('.key_encoder')
    }
    assert not moved


def test_too_many_in_a_row(data, tmp_path):
    with pytest.raises(NonFiniteError, match='iteration 6'):
        train(
            data,
            tmp_path,
            'CLSA', [poison('input', 4, 5, 6)],
            default_hooks__finite_check__max_skipped=2)
    train(
        data,
        tmp_path / 'apart',
        'CLSA', [poison('input', 2, 3, 5, 6)],
        default_hooks__finite_check__max_skipped=2)


def test_loss_scaler_is_left_to_its_work(data, tmp_path):
    """Infinite gradients of finite losses: bank and average wait, too."""
    moved = []

    class Watch(Hook):

        def before_train_iter(self, runner, *args, **kwargs):
            self.bank = runner.model.memory.columns.clone()

        def after_train_iter(self, runner, *args, **kwargs):
            moved.append(
                (not torch.equal(self.bank, runner.model.memory.columns),
                 runner.model.key_encoder.needs_update))

    runner = train(
        data,
        tmp_path,
        'CaCo',
        [poison('gradient', 2, 5, value=float('inf')),
         dict(type=Watch)],
        optim_wrapper__type='AmpOptimWrapper')
    scaler = runner.optim_wrapper.loss_scaler.state_dict()
    assert scaler['scale'] == 2.**16 / 4
    assert moved == [(True, True), (False, False), (True, True), (True, True),
                     (False, False), (True, True)]


def test_refuses_a_negative_number():
    with pytest.raises(ValueError, match='max_skipped=-1 of FiniteCheckHook'):
        FiniteCheckHook(max_skipped=-1)
