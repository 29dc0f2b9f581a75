# Licensed under the Apache License, Version 2.0.
"""Number formats that mmengine does not choose, or chooses badly."""
from typing import Any, Callable, Optional, Union

import torch

from caco_ext.utils.patching import replaces
from .versions import Outcome

# By the value of env_cfg.tf32: for convolutions, for matrix products.
TF32 = dict(none=(False, False), convolutions=(True, False), all=(True, True))


def leave_bfloat16_unscaled() -> Outcome:
    """Train in bfloat16 without a loss scaler.

    What breaks: mmengine 0.10 scales the loss whatever the type. bfloat16 has
    the range of float32, so there is nothing to scale, but at each step the
    scaler makes the CPU wait for the GPU.

    Remedy: with ``dtype='bfloat16'`` the default ``loss_scale='dynamic'``
    makes a scaler that is switched off. Any other ``loss_scale`` counts.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.optim import AmpOptimWrapper

    @replaces(AmpOptimWrapper, '__init__')
    def init_with_useful_scaler(init: Callable,
                                self: Any,
                                loss_scale: Union[str, float,
                                                  dict] = 'dynamic',
                                dtype: Union[str, torch.dtype, None] = None,
                                *args: Any,
                                **kwargs: Any) -> None:
        if dtype in ('bfloat16', torch.bfloat16) and loss_scale == 'dynamic':
            loss_scale = dict(enabled=False)
        init(self, loss_scale, dtype, *args, **kwargs)

    return True, 'mmengine scales losses in bfloat16'


def set_tf32() -> Outcome:
    """Read ``env_cfg.tf32``.

    What breaks: mmengine 0.10 has no option for TF32, with which GPUs since
    Ampere compute in float32 with 10 bits of mantissa. So torch's default
    holds unseen: TF32 in convolutions, and not in matrix products.

    Remedy: ``env_cfg.tf32`` says where to use it: 'none', 'convolutions' or
    'all'. Without the option nothing changes.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.runner import Runner

    @replaces(Runner, 'setup_env')
    def setup_with_tf32(setup_env: Callable, self: Runner,
                        env_cfg: dict) -> None:
        where: Optional[str] = env_cfg.get('tf32')
        if where is not None:
            if where not in TF32:
                raise ValueError(f'env_cfg.tf32={where!r} is unknown; use '
                                 "'none', 'convolutions' or 'all'")
            torch.backends.cudnn.allow_tf32 = TF32[where][0]
            torch.backends.cuda.matmul.allow_tf32 = TF32[where][1]
        setup_env(self, env_cfg)

    return True, 'mmengine has no option for TF32'
