# Copyright (c) caco_ext authors. All rights reserved.
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from caco_ext.ops import bank_gradient, bank_logsumexp, gather, nearest_columns
from ..utils import Schedule


class _Staged(NamedTuple):
    """What one forward pass leaves for the bank's step."""
    queries: Tensor
    log_normalisers: Tensor
    corrections: Optional[Tuple[Tensor, Tensor, Tensor]]


@MODELS.register_module()
class LearnableBank(BaseModule):
    r"""Bank of columns that learn by gradient, of AdCo and CaCo.

    Heads compare queries with the normalised columns and stage what moves
    them; :meth:`step` then makes one momentum step, with the mean gradient
    over ranks and over the forward passes since the last one:

    .. math::
        v \leftarrow \mu v - G + \lambda W, \qquad W \leftarrow W - \eta v

    ``G`` is given by :func:`caco_ext.ops.bank_gradient`. All arithmetic is
    float32, also under automatic mixed precision.

    Args:
        num_columns (int): K. The originals call it ``cluster``.
            Defaults to 65536.
        dim (int): Width C of the features. Defaults to 128.
        temperature (float): Of the softmax in the bank's gradient; the
            originals' ``mem_t``. Defaults to 0.02, AdCo's.
        lr (float | dict): Learning rate, or arguments of
            :class:`Schedule`; ``memory_lr``. Defaults to 3.0.
        momentum (float): ``mem_momentum``; in AdCo the network's.
            Defaults to 0.9.
        weight_decay (float): ``mem_wd``. AdCo uses 1e-4, CaCo has the option
            and ignores it. Defaults to 0.
        init (str): 'fill': the bank must be filled with keys before training
            (``ad_init`` of the originals); 'random': N(0, 1) columns serve.
            Defaults to 'fill'.
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
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if num_columns < 2 or dim < 1:
            raise ValueError(f'num_columns={num_columns}, dim={dim}: a bank '
                             'needs at least two columns and one channel')
        if temperature <= 0:
            raise ValueError(f'temperature={temperature} of the bank must be '
                             'positive; AdCo uses 0.02, CaCo 0.08')
        if not 0 <= momentum < 1:
            raise ValueError(f'momentum={momentum} of the bank must be in '
                             '[0, 1); the originals use 0.9')
        if init not in ('fill', 'random'):
            raise ValueError(f"init={init!r} of the bank is unknown; use "
                             "'fill' or 'random'")
        self.temperature = temperature
        self.lr = Schedule.build(lr)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.init = init
        self.register_buffer('columns', torch.randn(dim, num_columns))
        self.register_buffer('velocity', torch.zeros(dim, num_columns))
        self.register_buffer('filled', torch.zeros((), dtype=torch.long))
        self.register_buffer('positives',
                             torch.zeros(num_columns, dtype=torch.int32))
        self._staged: List[_Staged] = []

    @property
    def dim(self) -> int:
        """Width C of the columns."""
        return self.columns.size(0)

    @property
    def num_columns(self) -> int:
        """Number K of columns."""
        return self.columns.size(1)

    @property
    def needs_fill(self) -> bool:
        """Whether columns are still noise that keys must replace."""
        return self.init == 'fill' and int(self.filled) < self.num_columns

    def logsumexp(self, queries: Tensor,
                  temperature: float) -> Tuple[Tensor, Tensor]:
        """Log-sum-exp over the columns, for the encoder and for the bank.

        Args:
            queries (Tensor): Unit vectors, (N, C).
            temperature (float): The encoder's.

        Returns:
            tuple[Tensor, Tensor]: (N, ) at ``temperature`` with gradient, and
            (N, ) at the bank's own temperature without.
        """
        return bank_logsumexp(queries, self.columns, temperature,
                              self.temperature)

    def nearest(self, keys: Tensor) -> Tensor:
        """Nearest column by cosine of each key (N, C): (N, ) int64."""
        return nearest_columns(keys, self.columns)

    def stage(
            self,
            queries: Tensor,
            log_normalisers: Tensor,
            corrections: Optional[Tuple[Tensor, Tensor,
                                        Tensor]] = None) -> None:
        """Keep what the next step needs; see :func:`ops.bank_gradient`.

        Args:
            queries (Tensor): Unit vectors, (N, C).
            log_normalisers (Tensor): (N, ), at the bank's temperature.
            corrections (tuple, optional): ``(rows, columns, amount)``, each
                (M, ); the columns are this pass' positives.
                Defaults to None.
        """
        self._staged.append(
            _Staged(queries.detach(), log_normalisers.detach(), corrections))

    def discard(self) -> None:
        """Forget what is staged."""
        self._staged = []

    @torch.no_grad()
    def step(self) -> None:
        """One momentum step with everything staged; nothing if none is."""
        staged, self._staged = self._staged, []
        if not staged:
            return
        share = 1 / (len(staged) * get_world_size())
        lr = self.lr()
        if get_world_size() == 1 and len(staged) == 1:
            for part, grad in self._gradient(staged[0]):
                self._move(part, grad, lr)
        else:
            total = torch.zeros_like(self.columns)
            for one in staged:
                for part, grad in self._gradient(one):
                    total[:, part].add_(grad, alpha=share)
            all_reduce(total)
            self._move(slice(None), total, lr)
        for one in staged:
            if one.corrections is not None:
                places = gather(one.corrections[1])
                self.positives.index_put_(
                    (places, ),
                    torch.ones_like(places, dtype=torch.int32),
                    accumulate=True)

    def _gradient(self, staged: _Staged):
        return bank_gradient(staged.queries, staged.log_normalisers,
                             self.columns, self.temperature,
                             staged.corrections)

    def _move(self, part: slice, grad: Tensor, lr: float) -> None:
        columns, velocity = self.columns[:, part], self.velocity[:, part]
        velocity.mul_(self.momentum).sub_(grad)
        if self.weight_decay:
            velocity.add_(columns, alpha=self.weight_decay)
        columns.sub_(velocity, alpha=lr)

    @torch.no_grad()
    def write(self, keys: Tensor) -> None:
        """Replace the next columns by keys, until all are.

        Args:
            keys (Tensor): Keys of all ranks, (B, C), the same on each rank.
        """
        start = int(self.filled)
        count = min(keys.size(0), self.num_columns - start)
        self.columns[:, start:start + count] = keys[:count].t()
        self.filled += count

    @torch.no_grad()
    def signals(self) -> Dict[str, float]:
        """What to log: learning rate, mean norm, share of columns used.

        Returns:
            dict[str, float]: 'bank_lr', 'bank_norm' and, where columns serve
            as positives, 'columns_used': the share that did since
            :meth:`reset_signals`.
        """
        values = dict(
            bank_lr=self.lr(),
            bank_norm=float(self.columns.norm(dim=0).mean()))
        if bool(self.positives.any()):
            values['columns_used'] = float((self.positives > 0).float().mean())
        return values

    def reset_signals(self) -> None:
        """Begin to count the columns used as positives anew."""
        self.positives.zero_()
