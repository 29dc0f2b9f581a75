# Copyright (c) caco_ext authors. All rights reserved.
from abc import abstractmethod
from typing import List, Optional, Union

import torch
from torch import Tensor, nn

from ..memories import FeatureQueue, LearnableBank
from ..utils import call_after_step, check_view_count, gradients_wait


class MemoryMixin(nn.Module):
    """Algorithms whose memory is updated once per optimizer step."""

    # Set by the algorithm.
    memory: Optional[Union[LearnableBank, FeatureQueue]]
    # See `update_after` of BaseMomentumMethod.
    update_after = 'optimizer_step'
    _memory_synced = False

    @property
    @abstractmethod
    def num_views(self) -> int:
        """Views that the pipeline has to make of each picture."""

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> List[str]:
        """Buffers that DDP leaves alone, even with ``broadcast_buffers=True``.

        A broadcast would make all shards of a memory equal. A whole memory is
        the same on all ranks anyway.
        """
        if self.memory is None:
            return []
        return [f'memory.{name}' for name, _ in self.memory.named_buffers()]

    @torch.compiler.disable
    def before_forward(self, inputs: List[Tensor]) -> None:
        """Prepare a training pass.

        The first pass gives all ranks the memory of rank 0. Otherwise each
        would keep its own random columns, as DDP does not broadcast them.

        Args:
            inputs (list[Tensor]): The views, (N, 3, H, W) each.

        Raises:
            ValueError: If the model uses another number of views.
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

    @torch.compiler.disable
    def after_step(self) -> None:
        """Update the memory: the optimizer has changed the model."""
        if self.memory is not None:
            self.memory.step()
