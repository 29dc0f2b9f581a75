# Copyright (c) caco_ext authors. All rights reserved.
from typing import List

from torch import Tensor

from ..utils import call_after_step, check_view_count, gradients_wait


class MemoryMixin:
    """Algorithms whose memory moves once per optimizer step.

    The algorithm has ``memory``, a bank, a queue or None, and ``num_views``.
    """

    # See `update_after` of BaseMomentumMethod.
    update_after = 'optimizer_step'
    _memory_synced = False

    def before_forward(self, inputs: List[Tensor]) -> None:
        """What goes before every training pass.

        The first one gives all ranks the memory of rank 0: without it the
        seed of each would decide, as DDP leaves buffers alone when
        ``broadcast_buffers`` is off, mmengine's default.

        Args:
            inputs (list[Tensor]): The views, (N, 3, H, W) each.

        Raises:
            ValueError: If they are not as many as the model uses.
        """
        check_view_count(len(inputs), self.num_views)
        if self.update_after == 'optimizer_step':
            call_after_step(self)
        if self.memory is None:
            return
        if not gradients_wait(self):
            self.memory.clear_pending()
        if not self._memory_synced:
            self.memory.sync_from_rank0()
            self._memory_synced = True

    def after_step(self) -> None:
        """Move the memory: the optimizer has moved the model."""
        if self.memory is not None:
            self.memory.step()
