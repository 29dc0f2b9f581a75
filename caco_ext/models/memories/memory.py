# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from mmengine.dist import all_gather, broadcast, is_main_process
from mmengine.model import BaseModule
from torch import Tensor

from caco_ext.ops import Sharding

# A sharded buffer is gathered in pieces of at most so many bytes.
PIECE = 2**26


class Memory(BaseModule):
    """Base of bank and queue: columns on every rank, or sharded over ranks.

    The ``state_dict`` of a sharded memory has all columns, so a checkpoint
    fits any number of ranks. Making it is a collective operation;
    :class:`ShardedMemoryHook` lets all ranks take part when the runner saves
    a checkpoint.

    Args:
        num_columns (int): K, the columns of all ranks together.
        dim (int): Width C of the features.
        shard (bool): Keep K / ranks columns on each rank. Defaults to False.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If the columns do not divide evenly.
    """

    # Buffers whose last axis counts columns.
    sharded_buffers: Tuple[str, ...] = ('columns', )

    def __init__(self,
                 num_columns: int,
                 dim: int,
                 shard: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.sharding = Sharding(shard)
        self.num_columns = num_columns
        self.dim = dim
        num_shards = self.sharding.num_shards
        if num_columns % num_shards:
            fits = max(num_columns // num_shards, 1) * num_shards
            raise ValueError(
                f'num_columns={num_columns} of the memory is not divisible by '
                f'{num_shards} ranks; use {fits} or shard=False')
        self._collected: Dict[str, Tensor] = {}
        self._steps = 0

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> 'Memory':
        """Move the memory to another device, as ``to`` does."""
        try:
            return super()._apply(fn, *args, **kwargs)
        except torch.cuda.OutOfMemoryError as error:
            size = sum(buffer.nbytes for buffer in self.buffers()) / 2**30
            raise RuntimeError(
                f'model.memory.num_columns={self.num_columns} with dim='
                f'{self.dim} takes {size:.2f} GiB, which the GPU has not '
                'free: use fewer columns, memory.shard=True on several GPUs, '
                'or name another GPU in CUDA_VISIBLE_DEVICES') from error

    def random_columns(self) -> Tensor:
        """N(0, 1) noise for this rank's columns, (C, K / num_shards)."""
        size = self.dim, self.num_columns // self.sharding.num_shards
        if self.sharding.num_shards == 1:
            return torch.randn(size)
        # Without an offset, ranks with the same seed draw the same columns.
        generator = torch.Generator()
        generator.manual_seed(torch.initial_seed() + self.sharding.shard)
        return torch.randn(size, generator=generator)

    def sync_from_rank0(self) -> None:
        """Give all ranks the buffers of rank 0, except their own shards."""
        for name, buffer in self.named_buffers():
            local = name in self.sharded_buffers and self.sharding.enabled
            if not local:
                broadcast(buffer, src=0)

    def traffic(self) -> Dict[str, float]:
        """Mebibytes that this rank sent for the memory, per step.

        Returns:
            dict[str, float]: 'memory_sent_mib' since
            :meth:`reset_traffic`; empty where nothing was sent.
        """
        if not self.sharding.sent or not self._steps:
            return {}
        return dict(memory_sent_mib=self.sharding.sent / self._steps / 2**20)

    def reset_traffic(self) -> None:
        """Reset the count of bytes sent."""
        self.sharding.sent = self._steps = 0

    def collect(self) -> None:
        """Gather the columns for one ``state_dict`` of the main process.

        All ranks must call this; :meth:`release` frees the memory again.
        """
        if self.sharding.num_shards > 1:
            self._collected = self._gather(keep=is_main_process())

    def release(self) -> None:
        """Drop what :meth:`collect` has gathered."""
        self._collected = {}

    def _gather(self, keep: bool) -> Dict[str, Tensor]:
        """Gather all columns in pieces; ``keep`` puts them on the CPU."""
        num_shards = self.sharding.num_shards
        whole = {}
        for name in self.sharded_buffers:
            mine = getattr(self, name)
            rows = mine.reshape(-1, mine.size(-1))
            count = max(1, PIECE // (num_shards * rows[0].nbytes))
            out: List[Tensor] = []
            for piece in rows.split(count):
                pieces = all_gather(piece.contiguous())
                if keep:
                    out.append(torch.stack(pieces, dim=-1).flatten(1).cpu())
            if keep:
                whole[name] = torch.cat(out).view(*mine.shape[:-1], -1)
        return whole

    def _save_to_state_dict(self, destination: Dict[str, Tensor], prefix: str,
                            keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.sharding.num_shards > 1:
            whole = self._collected or self._gather(keep=True)
            for name, value in whole.items():
                destination[prefix + name] = value

    def _load_from_state_dict(self, state_dict: Dict[str, Tensor], prefix: str,
                              *args: Any) -> None:
        if self.sharding.num_shards > 1:
            state_dict = dict(state_dict)
            for name in self.sharded_buffers:
                whole = state_dict.get(prefix + name)
                if whole is not None and whole.size(-1) == self.num_columns:
                    state_dict[prefix +
                               name] = self.sharding.local_columns(whole)
        super()._load_from_state_dict(state_dict, prefix, *args)
