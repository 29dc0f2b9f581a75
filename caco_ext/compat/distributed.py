# Licensed under the Apache License, Version 2.0.
"""Several processes: without an accelerator, and by mistake."""
import functools
import os
from typing import Callable, Tuple

import torch


def _no_accelerator() -> bool:
    """Return whether mmengine would put a model on the CPU."""
    from mmengine.device import get_device
    return get_device() == 'cpu'


def _on_cpu(init: Callable) -> Callable:
    """Make a launcher of mmengine leave CUDA alone where there is none."""

    @functools.wraps(init)
    def wrapper(backend, *args, **kwargs):
        if not _no_accelerator():
            return init(backend, *args, **kwargs)
        set_device = torch.cuda.set_device
        torch.cuda.set_device = lambda device: None
        try:
            return init('gloo' if backend == 'nccl' else backend, *args,
                        **kwargs)
        finally:
            torch.cuda.set_device = set_device

    wrapper.caco_ext = True
    return wrapper


def launch_on_cpu() -> Tuple[bool, str]:
    """Make ``--launcher`` and DDP work where there is no accelerator.

    What breaks: mmengine 0.10, all launchers: ``torch.cuda.set_device`` is
    called unasked (``Found no NVIDIA driver``), the default backend nccl
    needs a GPU, and the runner passes ``device_ids=[LOCAL_RANK]``, which DDP
    refuses for parameters on the CPU. Remedy: without an accelerator start
    the process group without that call and with gloo in the place of nccl;
    drop ``device_ids`` when all parameters are on the CPU. On a machine with
    an accelerator nothing changes.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel
    for name in ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi'):
        init = getattr(utils, name)
        if not hasattr(init, 'caco_ext'):
            setattr(utils, name, _on_cpu(init))
    ddp_init = MMDistributedDataParallel.__init__
    if not hasattr(ddp_init, 'caco_ext'):

        @functools.wraps(ddp_init)
        def init_without_devices(self, module, *args, **kwargs):
            if all(p.device.type == 'cpu' for p in module.parameters()):
                kwargs.update(device_ids=None, output_device=None)
            ddp_init(self, module, *args, **kwargs)

        init_without_devices.caco_ext = True
        MMDistributedDataParallel.__init__ = init_without_devices
    if _no_accelerator():
        return True, 'no accelerator: gloo takes the place of nccl'
    return False, 'an accelerator is there'


def refuse_separate_runs() -> Tuple[bool, str]:
    """Refuse to train once per process that a launcher has started.

    What breaks: any trainer of the hosts under ``torchrun``, ``srun`` or
    ``mpirun`` without ``--launcher`` trains as many times as there are
    processes, all into one folder, and ends with status 0. Remedy: a runner
    that is not distributed refuses to start there.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.dist import is_distributed
    from mmengine.runner import Runner

    from ..utils.launchers import refusal_of_separate_runs, started_by
    setup_env = Runner.setup_env
    if hasattr(setup_env, 'caco_ext'):
        return True, 'done before'

    @functools.wraps(setup_env)
    def setup_together(self, env_cfg):
        launcher = started_by(os.environ)
        if launcher and not self.distributed and not is_distributed():
            raise RuntimeError(refusal_of_separate_runs(launcher, os.environ))
        setup_env(self, env_cfg)

    setup_together.caco_ext = True
    Runner.setup_env = setup_together
    return True, 'mmengine trains once per process without --launcher'
