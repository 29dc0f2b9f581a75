"""A hook that loads the pre-trained backbone, and refuses a wrong one."""
import os.path as osp
from typing import Optional

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .weights import load_pretrained

#: Where the message hub, and with it every checkpoint, keeps the proof.
INFO = 'pretrained_backbone'


@HOOKS.register_module()
class PretrainedBackboneHook(Hook):
    """Start a benchmark from a checkpoint, in the trainer of any host.

    mmengine's ``init_cfg=dict(type='Pretrained')`` only warns where names do
    not match, and trains from random weights. This hook loads before the
    first step, counts what it matched, in a C4 detector in both places, and
    raises unless it is all. A resumed run keeps its own weights. See
    :func:`caco_ext.transfer.load_pretrained` for what is accepted.

    Args:
        checkpoint (str, optional): The file. Defaults to None, which only a
            resumed run may leave so. For a random baseline take the hook out
            (``default_hooks.pretrained=None``).
        part (str): 'backbone', or 'backbone_k' for the key encoder's.
            Defaults to 'backbone'.
        supervised (bool): Whether a labelled network's checkpoint is meant.
            Defaults to False.
        trust (bool): Read a file that holds more than tensors and plain data,
            which runs code that it names. Defaults to False.
        prefix (str): Which backbone of a file that has several, or is of an
            unknown program, by what its keys begin with, as 'teacher.'.
            Defaults to ''.

    Raises:
        ValueError: ``part`` is neither.

    Example:
        >>> default_hooks = dict(pretrained=dict(
        ...     type='PretrainedBackboneHook', checkpoint='epoch_200.pth'))
    """

    priority = 'VERY_HIGH'

    def __init__(self,
                 checkpoint: Optional[str] = None,
                 part: str = 'backbone',
                 supervised: bool = False,
                 trust: bool = False,
                 prefix: str = '') -> None:
        if part not in ('backbone', 'backbone_k'):
            raise ValueError(f'part={part!r} of PretrainedBackboneHook: '
                             "'backbone' or 'backbone_k'")
        self.checkpoint = checkpoint
        self.part = part
        self.supervised = supervised
        self.trust = trust
        self.prefix = prefix

    def before_train(self, runner: Runner) -> None:
        """Load the backbone."""
        if runner._resume and runner._has_loaded:
            runner.logger.info('resumed: the pre-trained backbone was loaded '
                               'when this run began')
            return
        if self.checkpoint is None:
            raise ValueError(
                'which checkpoint to transfer is not said; give '
                'default_hooks.pretrained.checkpoint=FILE, or for a random '
                'baseline default_hooks.pretrained=None')
        if runner._has_loaded:
            raise ValueError(
                f'load_from={runner._load_from!r} and '
                f'default_hooks.pretrained.checkpoint={self.checkpoint!r} '
                'both name weights; keep the second')
        proof = load_pretrained(runner.model, osp.expanduser(self.checkpoint),
                                self.part, self.supervised, self.trust,
                                self.prefix)
        runner.message_hub.update_info(INFO, proof)
        counts = ', '.join(f'{count} keys of {place}'
                           for place, count in proof['matched'].items())
        runner.logger.info(
            f'{proof["source"]} {proof["path"]} ({proof["architecture"]}, '
            f'sha256 {proof["sha256"][:12]}): loaded {counts}, none left over')
