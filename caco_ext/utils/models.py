# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def unwrap_model(model: nn.Module) -> Any:
    """The model itself, without the wrapper of a parallel run.

    Args:
        model (nn.Module): A model, or DDP or FSDP around it.

    Returns:
        nn.Module: The model. Typed as Any, as its attributes are unknown.
    """
    return model.module if is_model_wrapper(model) else model
