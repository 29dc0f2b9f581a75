from collections import deque
from typing import Deque, List, Optional, Tuple

import torch
from mmengine.hooks import RuntimeInfoHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.utils.async_scalars import AsyncScalars, all_are_wanted


@HOOKS.register_module()
class AsyncRuntimeInfoHook(RuntimeInfoHook):
    """Log losses without waiting for the device in each iteration.

    mmengine's hook reads every loss as soon as the iteration is over. On a
    GPU this hook reads it one iteration later, when it has been computed. It
    reads at once only if the log or a checkpoint needs it. On a CPU it works
    like mmengine's.
    """

    def __init__(self) -> None:
        super().__init__()
        self._late: Deque[Tuple[List[str], AsyncScalars]] = deque()

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Write the losses to the message hub."""
        outputs = dict(outputs or {})
        late = [
            name for name, value in outputs.items() if
            isinstance(value, torch.Tensor) and AsyncScalars.pays(value.device)
        ]
        if late:
            values = [outputs.pop(name).detach().float() for name in late]
            self._late.append(
                (late, AsyncScalars(torch.stack(values).view(-1))))
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._write(runner, leave=not all_are_wanted(runner, batch_idx))

    def _write(self, runner: Runner, leave: int) -> None:
        while len(self._late) > leave:
            names, values = self._late.popleft()
            for name, value in zip(names, values.read()):
                runner.message_hub.update_scalar(f'train/{name}', value)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write what is left, as a signal may stop the run at any step."""
        if self._late:
            self._write(runner, leave=0)
            checkpoint['message_hub'] = runner.message_hub.state_dict()
