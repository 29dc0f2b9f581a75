import os.path as osp
from collections import deque
from functools import wraps
from types import MethodType
from typing import Any, Deque, Dict, List, Mapping, NamedTuple, Optional

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from caco_ext.utils.async_scalars import AsyncScalars, all_are_wanted
from caco_ext.utils.models import unwrap_model
from caco_ext.utils.text import first_of


def all_finite(tensors: List[Tensor]) -> bool:
    """Whether no value is NaN or infinite. Waits once for the device.

    Args:
        tensors (list[Tensor]): Floating point tensors of any shapes.

    Returns:
        bool: Also False if a tensor's sum of squares overflows its type.
    """
    return not tensors or bool(_are_finite(tensors))


def _are_finite(tensors: List[Tensor]) -> Tensor:
    norms = torch._foreach_norm(tensors)
    return torch.stack([n.float() for n in norms]).isfinite().all()


class _StepCheck(NamedTuple):
    """Values of a step to check, and details for the error."""
    finite: AsyncScalars
    losses: List[Tensor]
    paths: List[str]
    number: int


class NonFiniteError(RuntimeError):
    """Training has reached NaN or infinity."""


@HOOKS.register_module()
class FiniteCheckHook(Hook):
    """Stop as soon as a loss, a gradient or the bank is NaN or infinite.

    Checks before every optimizer step, so when it stops, weights, bank, queue
    and key encoder are those of the step before. Checks before every
    checkpoint too, so that none holds such numbers. The error names the
    iteration, what is wrong, the pictures of the batch and the checkpoint to
    resume from. A loss scaler may skip steps with infinite gradients, as long
    as the losses are finite and it skips fewer than 50 steps in a row.

    On a GPU this would wait for the device in every iteration. So there a
    step is checked one step later, and at once before the log and a
    checkpoint. The error names the same iteration and pictures; only the
    model has made one more step. With ``max_skipped`` every step is checked
    before it is made, on a GPU too.

    Args:
        max_skipped (int): Number of steps in a row that may be skipped before
            the run stops. Each is logged and counted as
            ``train/skipped_steps``. Defaults to 0.

    Raises:
        ValueError: If ``max_skipped`` is negative.
    """

    # Its after_train_iter must run before the logger's.
    priority = 'HIGH'
    changes_numbers = False
    SCALER_PATIENCE = 50

    def __init__(self, max_skipped: int = 0) -> None:
        if max_skipped < 0:
            raise ValueError(f'max_skipped={max_skipped} of FiniteCheckHook '
                             'is negative; 0 stops at the first bad step')
        self.max_skipped = max_skipped
        self.skipped = 0
        self._in_a_row = self._scaler_in_a_row = 0
        self._filling = False
        self._pending: Deque[_StepCheck] = deque()
        self._losses: List[Tensor] = []
        self._paths: List[str] = []
        self._statistics: Dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Have each step checked after its gradients are computed."""
        wrapper, self._runner = runner.optim_wrapper, runner
        backward, step = wrapper.backward, wrapper.step

        def watched_backward(wrapper: OptimWrapper, loss: Tensor,
                             **kwargs: Any) -> None:
            self._losses.append(loss.detach())
            backward(loss, **kwargs)

        # wraps keeps the attribute by which mmengine's schedulers recognise
        # their counter.
        @wraps(step)
        def watched_step(wrapper: OptimWrapper, **kwargs: Any) -> None:
            if self._may_step():
                step(**kwargs)

        wrapper.backward = MethodType(watched_backward, wrapper)
        wrapper.step = MethodType(watched_step, wrapper)

    @property
    def _model(self) -> torch.nn.Module:
        return unwrap_model(self._runner.model)

    def note_batch(self, data_batch: dict) -> None:
        """Remember which pictures the batch holds.

        Args:
            data_batch (dict): Batch of the loader.
        """
        samples = data_batch.get('data_samples')
        self._paths += [
            str(
                getattr(sample, 'img_path', 'unknown (the pipeline packs no '
                        'img_path)')) for sample in samples
        ] if isinstance(samples, (list, tuple)) else []

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Optional[dict] = None) -> None:
        """Remember the batch; if steps may be skipped, also the batch norms'
        statistics, which a forward pass changes.
        """
        self._filling = False
        if data_batch is not None:
            self.note_batch(data_batch)
        if self.max_skipped:
            self._statistics = {
                name: buffer.clone()
                for name, buffer in self._model.named_buffers()
                if not name.startswith('memory.')
            }

    def before_fill_iter(self, runner: Runner, data_batch: dict) -> None:
        """Remember the batch. No step of the fill can be skipped, as the fill
        writes to the bank before it.
        """
        self._filling = True
        self.note_batch(data_batch)

    def _may_step(self) -> bool:
        """Decide whether to make the step, and count skipped ones."""
        losses, self._losses = self._losses, []
        paths, self._paths = self._paths, []
        gradients = [
            p.grad for p in self._model.parameters() if p.grad is not None
        ]
        if not gradients:
            return True
        self._pending.append(
            _StepCheck(
                AsyncScalars(_are_finite(gradients)[None]), losses, paths,
                self._runner.iter + 1))
        late = not (self.max_skipped or self._filling) and AsyncScalars.pays(
            gradients[0].device)
        return self._check_steps(leave=int(late))

    def _check_steps(self, leave: int) -> bool:
        """Check all steps but the last ``leave``; whether all are finite."""
        all_fine = True
        while len(self._pending) > leave:
            check = self._pending.popleft()
            # DDP sums gradients over ranks, so all ranks decide the same.
            if all(check.finite.read()):
                self._in_a_row = self._scaler_in_a_row = 0
                continue
            if isinstance(self._runner.optim_wrapper, AmpOptimWrapper):
                bad = torch.tensor(int(not all_finite(check.losses)))
                all_reduce(bad, 'max')
                self._scaler_in_a_row += 1
                if not bad and self._scaler_in_a_row < self.SCALER_PATIENCE:
                    continue
            self._leave_out(check)
            all_fine = False
        return all_fine

    def _leave_out(self, check: _StepCheck) -> None:
        self.skipped += 1
        self._in_a_row += 1
        what = self._describe(check)
        if self._in_a_row > self.max_skipped or self._filling:
            raise NonFiniteError(
                f'{what}. {self._last_checkpoint()}. A lower learning rate or '
                "optim_wrapper.clip_grad may help; FiniteCheckHook's "
                'max_skipped leaves such steps out')
        with torch.no_grad():
            for name, buffer in self._model.named_buffers():
                if name in self._statistics:
                    buffer.copy_(self._statistics[name])
        self._runner.logger.warning(
            f'{what}; the step is left out ({self.skipped} so far)')

    def _describe(self, check: _StepCheck) -> str:
        """What is wrong, where, and with which pictures, of all ranks."""
        model, wrong = self._model, []
        if not all_finite(check.losses):
            wrong.append('the loss is ' + ', '.join(f'{float(x):g}'
                                                    for x in check.losses))
        weights = dict(model.named_parameters())
        gradients = {
            name: p.grad
            for name, p in weights.items() if p.grad is not None
        }
        for kind, tensors in (('weights', weights),
                              ('buffers', dict(model.named_buffers())),
                              ('gradients', gradients)):
            names = _not_finite(tensors)
            wrong += [f'of the {kind} {names}'] if names else []
        parts = all_gather_object(('; '.join(wrong), check.paths))
        text = [
            f'rank {rank}: {wrong} with the pictures {", ".join(paths)}'
            if len(parts) > 1 else
            f'{wrong}, with the pictures {", ".join(paths)}'
            for rank, (wrong, paths) in enumerate(parts)
        ]
        where = f'the fill before iteration {self._runner.iter + 1}' \
            if self._filling else f'iteration {check.number}'
        return (f'{where} came to NaN or infinity: ' + ' | '.join(text))

    def _last_checkpoint(self) -> str:
        note = osp.join(self._runner.work_dir, 'last_checkpoint')
        if not osp.isfile(note):
            return 'There is no checkpoint yet'
        with open(note) as file:
            return f'The last good checkpoint is {file.read().strip()}'

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Check pending steps before something is written, and log how many
        steps were skipped.
        """
        if self._pending and all_are_wanted(runner, batch_idx):
            self._check_steps(leave=0)
        if self.skipped:
            runner.message_hub.update_scalar('train/skipped_steps',
                                             self.skipped)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to save a checkpoint that cannot be resumed.

        Raises:
            NonFiniteError: A value in it is not finite.
        """
        self._runner = runner
        names = _not_finite({
            name: value
            for name, value in checkpoint['state_dict'].items()
            if isinstance(value, Tensor)
        })
        if names:
            done = checkpoint['meta']['iter']
            raise NonFiniteError(
                f'after iteration {done} there is NaN or infinity in {names}; '
                f'this is not saved. {self._last_checkpoint()}')


def _not_finite(tensors: Mapping[str, Tensor]) -> str:
    """The first names of tensors that are not finite."""
    names = [
        name for name, value in tensors.items()
        if value.is_floating_point() and not bool(value.isfinite().all())
    ]
    return first_of(names)
