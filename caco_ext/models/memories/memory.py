# Copyright (c) caco_ext authors. All rights reserved.
from typing import Dict, List, Optional, Tuple

import torch
from mmengine.dist import all_gather, broadcast, is_main_process
from mmengine.model import BaseModule
from torch import Tensor

from caco_ext.ops import Shards

# Bytes of a gathered piece while a divided buffer is put together.
PIECE = 2**26


class Memory(BaseModule):
    """Columns that persist between steps, whole or divided over ranks.

    A divided memory looks like a whole one from outside: its ``state_dict``
    has all columns, so a checkpoint fits any number of ranks. Making that is
    a collective operation; :class:`DividedMemoryHook` lets all ranks take part
    when the runner saves a checkpoint.

    Args:
        num_columns (int): K, of all ranks together.
        dim (int): Width C of the features.
        shard (bool): Keep K / ranks columns on each rank. Defaults to False.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If the columns do not divide evenly.
    """

    # Buffers with one entry a column, in the last axis.
    divided: Tuple[str, ...] = ('columns', )

    def __init__(self,
                 num_columns: int,
                 dim: int,
                 shard: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.shards = Shards(shard)
        self.num_columns = num_columns
        self.dim = dim
        parts = self.shards.parts
        if num_columns % parts:
            raise ValueError(
                f'num_columns={num_columns} of the memory is not divisible by '
                f'{parts} ranks; use {num_columns // parts * parts or parts} '
                'or shard=False')
        self._collected: Dict[str, Tensor] = {}
        self._steps = 0

    def random_columns(self) -> Tensor:
        """Normal noise for this rank's columns, (C, K / parts)."""
        size = self.dim, self.num_columns // self.shards.parts
        if self.shards.parts == 1:
            return torch.randn(size)
        # Ranks with the same seed would draw the same columns.
        generator = torch.Generator()
        generator.manual_seed(torch.initial_seed() + self.shards.part)
        return torch.randn(size, generator=generator)

    def agree(self) -> None:
        """Give all ranks what rank 0 has, but for columns of their own."""
        for name, buffer in self.named_buffers():
            if self.shards.parts == 1 or name not in self.divided:
                broadcast(buffer, src=0)

    def traffic(self) -> Dict[str, float]:
        """Mebibytes that this rank sent for the memory, per step.

        Returns:
            dict[str, float]: 'memory_sent_mib' since
            :meth:`reset_traffic`; empty where nothing was sent.
        """
        if not self.shards.sent or not self._steps:
            return {}
        return dict(memory_sent_mib=self.shards.sent / self._steps / 2**20)

    def reset_traffic(self) -> None:
        """Begin to count the bytes sent anew."""
        self.shards.sent = self._steps = 0

    def collect(self) -> None:
        """Gather the columns for one ``state_dict`` of the main process.

        All ranks must call this; :meth:`release` gives the room back.
        """
        if self.shards.parts > 1:
            self._collected = self._gather(keep=is_main_process())

    def release(self) -> None:
        """Forget what :meth:`collect` has gathered."""
        self._collected = {}

    def _gather(self, keep: bool) -> Dict[str, Tensor]:
        """All columns on the host, where ``keep``; in pieces on the device."""
        parts = self.shards.parts
        whole = {}
        for name in self.divided:
            mine = getattr(self, name)
            rows = mine.reshape(-1, mine.size(-1))
            count = max(1, PIECE // (parts * rows[0].nbytes))
            out: List[Tensor] = []
            for piece in rows.split(count):
                pieces = all_gather(piece.contiguous())
                if keep:
                    out.append(torch.stack(pieces, dim=-1).flatten(1).cpu())
            if keep:
                whole[name] = torch.cat(out).view(*mine.shape[:-1], -1)
        return whole

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.shards.parts > 1:
            whole = self._collected or self._gather(keep=True)
            for name, value in whole.items():
                destination[prefix + name] = value

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        if self.shards.parts > 1:
            state_dict = dict(state_dict)
            for name in self.divided:
                whole = state_dict.get(prefix + name)
                if whole is not None and whole.size(-1) == self.num_columns:
                    state_dict[prefix + name] = self.shards.share(whole)
        super()._load_from_state_dict(state_dict, prefix, *args)
