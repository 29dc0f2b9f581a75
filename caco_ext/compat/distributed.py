# Licensed under the Apache License, Version 2.0.
"""Several processes: on the CPU, and started by mistake."""
import os
from typing import Any, Callable

import torch

from caco_ext.utils.launchers import refusal_of_separate_runs, started_by
from caco_ext.utils.patching import replaces
from .versions import Outcome


def _no_accelerator() -> bool:
    """Return whether mmengine would put a model on the CPU."""
    from mmengine.device import get_device
    return get_device() == 'cpu'


def _init_on_cpu(init: Callable, backend: str, *args: Any,
                 **kwargs: Any) -> Any:
    """Start a launcher of mmengine; leave CUDA alone where there is none."""
    if not _no_accelerator():
        return init(backend, *args, **kwargs)
    set_device = torch.cuda.set_device
    torch.cuda.set_device = lambda device: None
    try:
        return init('gloo' if backend == 'nccl' else backend, *args, **kwargs)
    finally:
        torch.cuda.set_device = set_device


def launch_on_cpu() -> Outcome:
    """Make ``--launcher`` and DDP work where there is no accelerator.

    What breaks: mmengine 0.10, all launchers: ``torch.cuda.set_device`` is
    called unasked (``Found no NVIDIA driver``), the default backend nccl needs
    a GPU, and the runner passes ``device_ids=[LOCAL_RANK]``, which DDP refuses
    for parameters on the CPU.

    Remedy: without an accelerator start the process group without that call
    and with gloo in the place of nccl; drop ``device_ids`` when all parameters
    are on the CPU. On a machine with an accelerator nothing changes.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel
    for name in ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi'):
        replaces(utils, name)(_init_on_cpu)

    @replaces(MMDistributedDataParallel, '__init__')
    def init_without_devices(init, self, module, *args, **kwargs):
        if all(p.device.type == 'cpu' for p in module.parameters()):
            kwargs.update(device_ids=None, output_device=None)
        init(self, module, *args, **kwargs)

    if _no_accelerator():
        return True, 'no accelerator: gloo takes the place of nccl'
    return False, 'an accelerator is there'


def refuse_separate_runs() -> Outcome:
    """Refuse to train once per process that a launcher has started.

    What breaks: any trainer of the hosts under ``torchrun``, ``srun`` or
    ``mpirun`` without ``--launcher`` trains as many times as there are
    processes, all into one folder, and ends with status 0.

    Remedy: a runner that is not distributed refuses to start there.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.dist import is_distributed
    from mmengine.runner import Runner

    @replaces(Runner, 'setup_env')
    def setup_together(setup_env, self, env_cfg):
        launcher = started_by(os.environ)
        if launcher and not self.distributed and not is_distributed():
            raise RuntimeError(refusal_of_separate_runs(launcher, os.environ))
        setup_env(self, env_cfg)

    return True, 'mmengine trains once per process without --launcher'
