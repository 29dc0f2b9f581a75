"""A method of one's own: the nearest neighbour of the key is the positive.

After NNCLR (https://arxiv.org/abs/2104.14548, equation 2), with a momentum
encoder: the queue is the support set in which neighbours are looked up.
"""
import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch.nn import functional as F

from caco_ext.models import BaseMomentumMethod
from caco_ext.ops import concat_all_gather, local_labels, nearest_columns


@MODELS.register_module()
class NearestNeighbour(BaseMomentumMethod):
    """Both views are queries and keys; the head is what is new."""


@MODELS.register_module()
class NearestNeighbourHead(BaseModule):
    """Tell the neighbour of the own key from those of all other pictures.

    Args:
        temperature (float): Divides the cosines. Defaults to 0.1.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.
    """

    def __init__(self, temperature=0.1, init_cfg=None):
        super().__init__(init_cfg)
        self.temperature = temperature

    def forward(self, queries, keys, pairs, memory):
        """See ``caco_ext.models.BankHead.forward``."""
        all_keys = [concat_all_gather(key) for key in keys]  # of all ranks
        loss = 0.
        for pair in pairs:
            places = nearest_columns(all_keys[pair.key], memory.columns)
            logits = queries[pair.query] @ memory.columns[:, places]
            own = local_labels(logits.size(0), logits.device)
            loss = loss + pair.weight * F.cross_entropy(
                logits / self.temperature, own)
        if torch.is_grad_enabled():
            memory.enqueue(all_keys[0])  # enters the queue after the step
        return dict(loss=loss)
