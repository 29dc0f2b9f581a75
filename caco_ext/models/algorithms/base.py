# Copyright (c) caco_ext authors. All rights reserved.
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from caco_ext.ops import concat_all_gather
from caco_ext.ops.spread import effective_rank, feature_std
from ..utils import (MomentumEncoder, Pair, Schedule, check_memory_width,
                     encode_views, needs_shuffle, shuffled)
from .memory_mixin import MemoryMixin

# The algorithm itself or its key encoder: both hold `momentum_modules`.
# nn.Module would type these attributes as Tensor | Module.
Encoder = Any


class BaseMomentumMethod(MemoryMixin, BaseModel):
    """Base of the four methods: query encoder, key encoder, head, memory.

    The key encoder is a moving average of the query encoder. Each encodes
    some views of a picture. The head compares each query with the keys of the
    other views and, if there is a memory, with its columns. The memory is
    updated after each optimizer step, the key encoder in the next forward
    pass, before it encodes keys.

    Args:
        backbone (dict): Config of the backbone; its last feature map is used.
        neck (dict): Config of the projector, with global average pooling.
        head (dict): Config of the loss.
        memory (dict, optional): Config of a learnable bank or a queue.
            Defaults to None.
        momentum (float | dict): Weight of the key encoder's old value, or
            arguments of :class:`Schedule`. Defaults to 0.999.
        query_views (Sequence[int]): Which of the pipeline's views the query
            encoder sees. Defaults to (0, 1).
        key_views (Sequence[int]): Which of them the key encoder sees.
            Defaults to (0, 1).
        shuffle_bn (bool): Shuffle the key encoder's pictures between ranks,
            so that batch statistics do not reveal the positive (MoCo, arXiv
            1911.05722, section 3.3). Nothing is shuffled if all batch norms
            are synchronised or in evaluation mode. Defaults to False.
        fuse_views (bool): Send views of one size through an encoder as one
            batch. This is faster on small pictures. But batch norms then see
            the views together, unlike in the originals, so results change.
            Defaults to False.
        channels_last (bool): Store weights and pictures of the encoders with
            channels innermost. This is faster with mixed precision on a GPU
            and with small pictures on a CPU. Defaults to False.
        compile_backbones (dict, optional): Arguments of ``torch.compile`` for
            the backbones of both encoders, ``{}`` for its defaults. None
            compiles nothing. Defaults to None.
        update_after (str): When memory and key encoder are updated.
            'optimizer_step': once per optimizer step. There is no update
            while gradients accumulate or when a loss scaler skips a step.
            'backward': after every backward pass, as in the originals' loops.
            Defaults to 'optimizer_step'.
        data_preprocessor (dict, optional): Config of the normalisation on the
            device. Defaults to None.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If the views leave a key without a query, or widths do
            not fit each other.
    """

    # What the key encoder averages, by attribute name.
    momentum_modules: Tuple[str, ...] = ('backbone', 'neck')

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 head: dict,
                 memory: Optional[dict] = None,
                 momentum: Union[float, dict] = 0.999,
                 query_views: Sequence[int] = (0, 1),
                 key_views: Sequence[int] = (0, 1),
                 shuffle_bn: bool = False,
                 fuse_views: bool = False,
                 channels_last: bool = False,
                 compile_backbones: Optional[dict] = None,
                 update_after: str = 'optimizer_step',
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None,
                 **modules: dict) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.query_views = tuple(query_views)
        self.key_views = tuple(key_views)
        self.pairs = self.make_pairs(self.query_views, self.key_views)
        for key in range(len(self.key_views)):
            if key not in {pair.key for pair in self.pairs}:
                raise ValueError(
                    f'key_views={key_views}: view {key_views[key]} meets no '
                    f'query, as query_views={query_views} holds no other '
                    'view; add one')
        self.shuffle_bn = shuffle_bn
        self.fuse_views = fuse_views
        self.momentum = Schedule.build(momentum)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        for name, cfg in modules.items():
            self.add_module(name, MODELS.build(cfg))
        self.head = MODELS.build(head)
        self.memory = None if memory is None else MODELS.build(memory)
        self.check_widths()
        self.key_encoder = MomentumEncoder(
            **{name: getattr(self, name)
               for name in self.momentum_modules})
        self.channels_last = channels_last
        if channels_last:
            self.to(memory_format=torch.channels_last)
        if compile_backbones is not None:
            if not isinstance(compile_backbones, dict):
                raise ValueError(
                    f'compile_backbones={compile_backbones!r} must be a dict, '
                    'arguments of torch.compile; on a command line name one: '
                    'model.compile_backbones.mode=default')
            # Compiling in place keeps the names of weights.
            self.backbone.compile(**compile_backbones)
            self.key_encoder.get_submodule('backbone').compile(
                **compile_backbones)
        self.last_queries: Optional[Tensor] = None
        if update_after not in ('optimizer_step', 'backward'):
            raise ValueError(f"update_after={update_after!r} is unknown; use "
                             "'optimizer_step' or 'backward'")
        self.update_after = update_after

    def check_widths(self) -> None:
        """Refuse features that cannot be compared.

        Raises:
            ValueError: With the options and the widths.
        """
        if self.memory is not None:
            check_memory_width(self.memory, self.neck)

    @property
    def num_views(self) -> int:
        """Views that the pipeline has to make of each picture."""
        return 1 + max(self.query_views + self.key_views)

    @staticmethod
    def make_pairs(query_views: Sequence[int],
                   key_views: Sequence[int]) -> List[Pair]:
        """All (query, key) of different views, in the order of the queries.

        Args:
            query_views (Sequence[int]): Views of the query encoder.
            key_views (Sequence[int]): Views of the key encoder.

        Returns:
            list[Pair]: Positions in the two lists, of weight 1.
        """
        return [
            Pair(i, j, 1.) for i, query in enumerate(query_views)
            for j, key in enumerate(key_views) if query != key
        ]

    def init_weights(self) -> None:
        """Initialise, and start the key encoder from the same values.

        Random numbers fill a tensor in the order of its memory. So weights
        are drawn in the contiguous layout: a seed gives the same weights with
        and without ``channels_last``.
        """
        self.to(memory_format=torch.contiguous_format)
        super().init_weights()
        if self.channels_last:
            self.to(memory_format=torch.channels_last)
        self.key_encoder.copy_from(self)

    def encode(self, images: Tensor, encoder: Encoder) -> Any:
        """Encode images as unit vectors.

        Args:
            images (Tensor): (N, 3, H, W).
            encoder (nn.Module): Holds ``backbone`` and ``neck``: the
                algorithm itself, or its key encoder.

        Returns:
            Tensor: (N, C), float32; a method with several streams returns a
            tuple of them.
        """
        features = encoder.neck(encoder.backbone(images)[-1:])[0]
        return F.normalize(features.float(), dim=1)

    def encode_queries(self, inputs: List[Tensor],
                       views: Sequence[int]) -> List[Tensor]:
        """Features of some views, (N, C) each, with gradient."""
        return encode_views(
            partial(self._encode_batch, encoder=self), inputs, views,
            self.fuse_views)

    @torch.no_grad()
    def encode_keys(self, inputs: List[Tensor],
                    views: Sequence[int]) -> List[Tensor]:
        """Features of some views by the key encoder, (N, C) each."""
        encode: Callable[[Tensor], Any] = partial(
            self._encode_batch, encoder=self.key_encoder)
        if self.shuffle_bn and needs_shuffle(self.key_encoder):
            encode = shuffled(encode)
        return encode_views(encode, inputs, views, self.fuse_views)

    def _encode_batch(self, images: Tensor, encoder: Encoder) -> Any:
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.encode(images, encoder)

    def loss(self,
             inputs: List[Tensor],
             data_samples: Optional[list] = None) -> dict:
        """Losses of a batch.

        Args:
            inputs (list[Tensor]): The views, (N, 3, H, W) each.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: The head's losses.
        """
        self.before_forward(inputs)
        queries = self.encode_queries(inputs, self.query_views)
        self._after_queries(queries[0])
        self.key_encoder.update(self, self.momentum())
        keys = self.encode_keys(inputs, self.key_views)
        with torch.autocast(inputs[0].device.type, enabled=False):
            return self.compute_losses(queries, keys)

    def _after_queries(self, query: Union[Tensor, Tuple[Tensor, ...]]) -> None:
        """Keep the first view's features for :meth:`metrics`.

        With ``update_after='backward'`` also call :meth:`after_step` at the
        end of the backward pass.
        """
        features = query[0] if isinstance(query, tuple) else query
        self.last_queries = features.detach()
        if self.update_after == 'backward' and features.requires_grad:
            engine = torch.autograd.Variable._execution_engine
            features.register_hook(
                lambda grad: engine.queue_callback(self.after_step))

    def compute_losses(self, queries: List[Tensor],
                       keys: List[Tensor]) -> dict:
        """The head's losses. A method whose head takes more overrides it."""
        return self.head(queries, keys, self.pairs, self.memory)

    def forward(self,
                inputs: List[Tensor],
                data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Union[dict, Tuple[Tensor]]:
        """Entry of mmengine's runner.

        Args:
            inputs (list[Tensor]): The views, (N, 3, H, W) each.
            data_samples (list, optional): As the pipeline packs them.
                Defaults to None.
            mode (str): 'loss' for the losses, 'tensor' for the backbone's
                maps of the first view, or a name for which the method has
                ``forward_<mode>``. Defaults to 'tensor'.

        Returns:
            dict | tuple[Tensor]: Losses or feature maps.

        Raises:
            ValueError: If the method has no such mode.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'tensor':
            return self.backbone(inputs[0])
        if not hasattr(self, f'forward_{mode}'):
            raise ValueError(f'{type(self).__name__} has no mode {mode!r}')
        return getattr(self, f'forward_{mode}')(inputs, data_samples)

    def after_step(self) -> None:
        """Update the memory; the key encoder follows before its next pass."""
        super().after_step()
        self.key_encoder.needs_update = True

    def metrics(self) -> Dict[str, float]:
        """What to log beside the losses.

        Returns:
            dict[str, float]: 'ema_momentum', the memory's metrics, and
            'feature_std' and 'effective_rank' (:mod:`caco_ext.ops.spread`)
            of the first view's features on all ranks.
        """
        values = dict(ema_momentum=self.momentum())
        if self.last_queries is not None:
            features = concat_all_gather(self.last_queries)
            values.update(
                feature_std=float(feature_std(features)),
                effective_rank=float(effective_rank(features)))
        if self.memory is not None:
            values.update(self.memory.metrics())
        return values
