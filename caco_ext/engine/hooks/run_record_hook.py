"""What a run leaves behind about itself."""
import json
import os
import os.path as osp
import platform
import shlex
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

import torch
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.utils.files import write_whole

FILE = 'run.json'
_PACKAGE = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


def commit() -> Optional[str]:
    """The commit of this package, where it is used from a clone.

    Returns:
        str | None: The hash, with ' and changes' where files differ from it;
        None outside a repository or without git.
    """

    def git(*args):
        return subprocess.run(['git', '-C', _PACKAGE, *args],
                              capture_output=True,
                              text=True,
                              timeout=20,
                              check=True).stdout.strip()

    try:
        # a wheel may be installed below the repository of another project
        git('ls-files', '--error-unmatch', 'version.py')
        changed = git('status', '--porcelain', '--untracked-files=no')
        return git('rev-parse', 'HEAD') + (' and changes' if changed else '')
    except (OSError, subprocess.SubprocessError):
        return None


def hardware() -> str:
    """Processor, cores, memory and GPUs of this machine.

    Returns:
        str: In a line.
    """
    name = platform.processor() or platform.machine()
    if osp.isfile('/proc/cpuinfo'):
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            names = [line for line in file if line.startswith('model name')]
        name = names[0].partition(':')[2].strip() if names else name
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    parts: List[str] = [
        name, f'{len(os.sched_getaffinity(0))} cores', f'{memory:.0f} GiB'
    ]
    parts += [
        torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
    ]
    return ', '.join(parts)


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Note versions, commit, machine and command of a run beside its scalars.

    They go to ``run.json`` of each part of the run, which the report reads.
    """

    changes_numbers = False

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write the file.

        Args:
            runner (Runner): The runner of the training.
        """
        # not when the hook is registered: it is of the benchmarks
        from caco_ext.transfer.results import versions
        content: Dict[str, Any] = dict(
            started=time.strftime('%Y-%m-%d %H:%M:%S %z'),
            begins_at_iteration=runner.iter,
            epoch_length=len(runner.train_dataloader),
            command=shlex.join(sys.argv),
            config=runner.cfg.filename,
            seed=runner.seed,
            processes=get_world_size(),
            hardware=hardware(),
            system=platform.platform(),
            commit=commit(),
            versions=versions())
        folder = osp.join(runner.log_dir, 'vis_data')
        os.makedirs(folder, exist_ok=True)
        write_whole(osp.join(folder, FILE), json.dumps(content, indent=1))
