# Copyright (c) caco_ext authors. All rights reserved.
import math
from itertools import accumulate
from typing import (Any, Callable, Dict, List, NamedTuple, Optional, Tuple,
                    Union)

import torch
from mmengine.dist import get_world_size
from mmengine.registry import MODELS
from torch import Tensor

from caco_ext.ops import (SoftmaxCache, bank_gradient, bank_logsumexp,
                          nearest_columns, pick_columns, tf32_products)
from ..utils import Schedule, check_temperature
from .memory import Memory

# Rows (queries), column indices, amounts to add; (M, ) each.
Corrections = Tuple[Tensor, Tensor, Tensor]


class _Pending(NamedTuple):
    """What :meth:`LearnableBank.accumulate` stores of one forward pass."""
    queries: Tensor
    log_normalisers: Tensor
    corrections: Optional[Corrections]


@MODELS.register_module()
class LearnableBank(Memory):
    r"""Bank of AdCo and CaCo, whose columns learn by gradient.

    Heads compare queries with the normalised columns and call
    :meth:`accumulate`. After each optimizer step, :meth:`step` makes one
    momentum step. Its gradient is the mean over ranks and over the forward
    passes since the last step:

    .. math::
        v \leftarrow \mu v - G + \lambda W, \qquad W \leftarrow W - \eta v

    ``G`` is given by :func:`caco_ext.ops.bank_gradient`. All arithmetic is
    float32, also under automatic mixed precision.

    Args:
        num_columns (int): K. The originals call it ``cluster``.
            Defaults to 65536.
        dim (int): Width C of the features. Defaults to 128.
        temperature (float): Temperature of the softmax in the bank's
            gradient; ``mem_t`` in the originals. Defaults to 0.02, as in
            AdCo.
        lr (float | dict): Learning rate, or arguments of :class:`Schedule`;
            ``memory_lr`` in the originals. Defaults to 3.0.
        momentum (float): Momentum of the step; ``mem_momentum`` in the
            originals, in AdCo the network's. Defaults to 0.9.
        weight_decay (float): Weight decay; ``mem_wd`` in the originals. AdCo
            uses 1e-4. CaCo has the option and ignores it. Defaults to 0.
        init (str): 'fill': the bank must be filled with keys before training
            (``ad_init`` in the originals). 'random': training starts with
            N(0, 1) columns. Defaults to 'fill'.
        shard (bool): Keep K / ranks columns on each rank. Features then pass
            between ranks instead of the bank's gradient. Defaults to False.
        cache_mib (float): Size in MiB of the cache that holds softmax weights
            from the loss to the step. Weights that do not fit are computed
            again. Defaults to 64, enough for 256 queries and 65536 columns.
        tf32 (bool): Multiply matrices in TF32 on GPUs that have it. The page
            on performance has the errors. False leaves torch's own setting,
            which is float32. Defaults to False.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If an option is outside its range.
    """

    def __init__(self,
                 num_columns: int = 65536,
                 dim: int = 128,
                 temperature: float = 0.02,
                 lr: Union[float, dict] = 3.0,
                 momentum: float = 0.9,
                 weight_decay: float = 0.,
                 init: str = 'fill',
                 shard: bool = False,
                 cache_mib: float = 64,
                 tf32: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_columns, dim, shard, init_cfg)
        if num_columns < 2 or dim < 1:
            raise ValueError(f'num_columns={num_columns}, dim={dim}: a bank '
                             'needs at least two columns and one channel')
        if not 0 <= momentum < 1:
            raise ValueError(f'momentum={momentum} of the bank must be in '
                             '[0, 1); the originals use 0.9')
        if init not in ('fill', 'random'):
            raise ValueError(f"init={init!r} of the bank is unknown; use "
                             "'fill' or 'random'")
        if cache_mib < 0:
            raise ValueError(f'cache_mib={cache_mib} of the bank is negative; '
                             '0 keeps nothing')
        self.temperature = check_temperature(temperature, 'the bank',
                                             'AdCo uses 0.02, CaCo 0.08')
        self.lr = Schedule.build(lr)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.init = init
        self.tf32 = tf32
        columns = self.random_columns()
        self.register_buffer('columns', columns)
        self.register_buffer('velocity', torch.zeros_like(columns))
        self.register_buffer('filled', torch.zeros((), dtype=torch.long))
        self.register_buffer('positives',
                             torch.zeros(columns.size(1), dtype=torch.int32))
        self._pending: List[_Pending] = []
        self._cache = SoftmaxCache(int(cache_mib * 2**20))

    sharded_buffers = ('columns', 'velocity', 'positives')

    @property
    def needs_fill(self) -> bool:
        """Whether columns are still noise that keys must replace."""
        return self.init == 'fill' and int(self.filled) < self.num_columns

    def logsumexp(self, queries: Tensor,
                  temperature: float) -> Tuple[Tensor, Tensor]:
        """Log-sum-exp over the columns, for the encoder and for the bank.

        Args:
            queries (Tensor): Unit vectors, (N, C).
            temperature (float): The encoder's temperature.

        Returns:
            tuple[Tensor, Tensor]: (N, ) at ``temperature`` with gradient, and
            (N, ) at the bank's own temperature without.
        """
        with tf32_products(self.tf32):
            return bank_logsumexp(
                queries,
                self.columns,
                temperature,
                self.temperature,
                sharding=self.sharding,
                cache=self._cache)

    def nearest(self, keys: Tensor) -> Tensor:
        """Index of the column nearest to each key: (N, C) to (N, ) int64."""
        norms = self._cache.inverse if self._cache.knows(
            self.columns) else None
        with tf32_products(self.tf32):
            return nearest_columns(
                keys, self.columns, sharding=self.sharding, inverses=norms)

    def pick(self, numbers: Tensor) -> Tensor:
        """Normalised columns at these indices: (N, ) int64 to (N, C)."""
        return pick_columns(numbers, self.columns, self.sharding)

    def accumulate(self,
                   queries: Tensor,
                   log_normalisers: Tensor,
                   corrections: Optional[Corrections] = None) -> None:
        """Store what :meth:`step` needs; see :func:`ops.bank_gradient`.

        Args:
            queries (Tensor): Unit vectors, (N, C). If :meth:`logsumexp` got
                the same tensor, its cached softmax weights are reused.
            log_normalisers (Tensor): (N, ), at the bank's temperature.
            corrections (tuple, optional): ``(rows, columns, amount)``, each
                (M, ). The columns are the positives of this pass.
                Defaults to None.
        """
        self._pending.append(
            _Pending(queries.detach(), log_normalisers.detach(), corrections))

    def clear_pending(self) -> None:
        """Drop what is stored, as its optimizer step was skipped."""
        self._pending = []

    @torch.no_grad()
    def step(self) -> None:
        """Make one momentum step, if :meth:`accumulate` stored anything."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        self._steps += 1
        lr, ranks = self.lr(), get_world_size()

        def update(part: slice, gradient: Tensor) -> None:
            velocity = self.velocity[:, part]
            torch.add(gradient, velocity, alpha=self.momentum, out=velocity)
            self.columns[:, part].sub_(velocity, alpha=lr)

        if ranks == self.sharding.num_shards:
            self._gradient(pending, update, self.weight_decay)
            return
        # Every rank has all columns but only its own queries: add gradients.
        total = torch.empty_like(self.columns)
        self._gradient(pending, lambda part, one: total[:, part].copy_(one),
                       self.weight_decay / ranks)
        update(slice(None), self.sharding.reduce_everywhere(total))

    def _gradient(self, pending: List[_Pending],
                  use: Callable[[slice, Tensor], Any], decay: float) -> None:
        """Pass ``-G + decay * W`` of each block to ``use``.

        G is the mean gradient over passes and ranks.
        """
        rows = sum(len(one.queries) for one in pending)
        share = len(pending) * get_world_size()
        corrections = None
        if pending[0].corrections is not None:
            corrections = self._corrections(pending, rows, share)
        cache: Optional[SoftmaxCache] = None
        if len(pending) == 1 and self._cache.fits(pending[0].queries,
                                                  self.columns):
            cache = self._cache
        queries = self.sharding.gather(
            torch.cat([one.queries for one in pending
                       ])) if cache is None else cache.all_queries
        normalisers = self.sharding.gather(
            torch.cat([one.log_normalisers
                       for one in pending])) + math.log(share)
        with tf32_products(self.tf32):
            bank_gradient(
                queries,
                normalisers,
                self.columns,
                self.temperature,
                use,
                corrections,
                scale=-1,
                decay=decay,
                cache=cache)

    def _corrections(self, pending: List[_Pending], rows: int,
                     share: int) -> Corrections:
        """Corrections of all passes to this rank's columns.

        Also counts how often each column was a positive.
        """
        starts = accumulate((len(one.queries) for one in pending), initial=0)
        corrections = [one.corrections for one in pending if one.corrections]
        index = torch.cat(
            [rows + start for (rows, _, _), start in zip(corrections, starts)])
        numbers = torch.cat([numbers for _, numbers, _ in corrections])
        amount = torch.cat([amount for _, _, amount in corrections])
        all_queries = self.sharding.gather_everywhere(numbers)
        places, here = self.sharding.to_local(all_queries)
        self.positives.index_put_((places, ),
                                  here.to(self.positives),
                                  accumulate=True)
        if not self.sharding.enabled:
            return index, numbers, amount / share
        amount = self.sharding.gather(amount) / share
        index = self.sharding.gather(index + self.sharding.shard * rows)
        return index, places, amount * here

    @torch.no_grad()
    def write(self, keys: Tensor) -> None:
        """Replace the next columns by keys; keys beyond the last are dropped.

        Args:
            keys (Tensor): Keys of all ranks, (B, C), the same on each rank.
        """
        start = int(self.filled)
        keys = keys[:self.num_columns - start]
        # Position of the first key whose column is on this rank.
        first = (self.sharding.shard - start) % self.sharding.num_shards
        mine = keys[first::self.sharding.num_shards]
        place = (start + first) // self.sharding.num_shards
        self.columns[:, place:place + len(mine)] = mine.t()
        self.filled += len(keys)

    @torch.no_grad()
    def metrics(self) -> Dict[str, float]:
        """What to log. All ranks must call this.

        Returns:
            dict[str, float]: 'bank_lr', 'bank_norm' (mean norm of a column)
            and :meth:`traffic`. With CaCo also 'columns_used', the share of
            columns that were positives since :meth:`reset_metrics`.
        """
        norms = self.columns.square().sum(dim=0).sqrt_().sum()
        sums = torch.stack([norms, (self.positives > 0).sum().to(norms)])
        values = self.traffic()
        norm, used = (self.sharding.reduce(sums) / self.num_columns).tolist()
        values.update(bank_lr=self.lr(), bank_norm=norm)
        if used:
            values['columns_used'] = used
        return values

    def reset_metrics(self) -> None:
        """Reset the counts of columns used and of bytes sent."""
        self.positives.zero_()
        self.reset_traffic()
