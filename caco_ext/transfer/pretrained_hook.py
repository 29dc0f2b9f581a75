"""A hook that loads the pre-trained backbone, and refuses a wrong one."""
import os.path as osp
from typing import Optional

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .weights import load_pretrained

#: Name in the message hub, and so in every checkpoint, of what was loaded.
INFO = 'pretrained_backbone'


@HOOKS.register_module()
class PretrainedBackboneHook(Hook):
    """Start a benchmark from a checkpoint, in the trainer of any host.

    If names do not match, mmengine's ``init_cfg=dict(type='Pretrained')``
    only warns and trains random weights. This hook loads before the first
    step and counts the matched weights, in a C4 detector in both places. It
    raises an error unless all match. A resumed run keeps its own weights. See
    :func:`caco_ext.transfer.load_pretrained` for what is accepted.

    Args:
        checkpoint (str, optional): The file. Only a resumed run may leave it
            None. For a random baseline, remove the hook
            (``default_hooks.pretrained=None``). Defaults to None.
        part (str): 'backbone', or 'backbone_k' for the key encoder's.
            Defaults to 'backbone'.
        supervised (bool): Whether the checkpoint may be of a network that was
            trained with labels. Defaults to False.
        trust (bool): Also read a file that holds more than tensors and plain
            data. This runs any code that the file names. Defaults to False.
        prefix (str): Start of the backbone's keys, such as 'teacher.', if the
            file has several backbones or is of an unknown program.
            Defaults to ''.

    Raises:
        ValueError: ``part`` is unknown.

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
