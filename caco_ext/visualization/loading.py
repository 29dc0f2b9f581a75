"""Build what a config and a checkpoint describe."""
from typing import Any, Dict, Optional

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from caco_ext.converters.files import meta_of
from caco_ext.utils.checkpoints import read_checkpoint
from caco_ext.utils.config_text import check_config_text
from caco_ext.utils.old_names import with_present_names
from caco_ext.utils.weights import check_weights


def load_model(cfg: Config,
               checkpoint: str,
               content: Optional[Dict[str, Any]] = None) -> nn.Module:
    """Build the model of a config with the weights of a checkpoint.

    Args:
        cfg (Config): Config of a run.
        checkpoint (str): A checkpoint of it, whole or backbone only.
        content (dict, optional): Its content, where it is read already.
            Defaults to None.

    Returns:
        nn.Module: The model in evaluation mode, on the GPU if there is one.
        The backbone is complete. Of the rest, only what the checkpoint has is
        loaded.

    Raises:
        ValueError: The checkpoint does not hold exactly this backbone, or
            cannot be read.
    """
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    if content is None:
        content = read_checkpoint(checkpoint, mmap=True)
    state = content.get('state_dict', content)
    check_weights(state, checkpoint)
    prefix = 'backbone.'
    weights = {
        name[len(prefix):]: value
        for name, value in state.items() if name.startswith(prefix)
    }
    model = MODELS.build(cfg.model)
    try:
        model.backbone.load_state_dict(weights)
        model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(f'{checkpoint!r} does not hold the backbone of this '
                         f'config: {error}') from error
    model.eval()
    return model.to('cuda' if torch.cuda.is_available() else 'cpu')


def config_of(checkpoint: str, path: Optional[str] = None) -> Config:
    """Read the config that belongs to a checkpoint.

    Args:
        checkpoint (str): A checkpoint of a run.
        path (str, optional): A config file to use instead. Defaults to None:
            the config that the checkpoint holds.

    Returns:
        Config: The config.

    Raises:
        ValueError: The checkpoint holds no config, or one with more than
            plain data.
    """
    if path is not None:
        return Config.fromfile(path)
    text = meta_of(read_checkpoint(checkpoint, mmap=True),
                   checkpoint).get('cfg')
    if not text or not isinstance(text, str):
        raise ValueError(f'{checkpoint} holds no config, as a checkpoint of a '
                         'run does; name it with --config')
    try:
        check_config_text(text)
    except ValueError as error:
        raise ValueError(f'{checkpoint}: {error}; if you trust it, write it '
                         'to a file and name that with --config') from error
    return Config.fromstring(with_present_names(text), '.py')
