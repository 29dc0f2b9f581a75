"""Record versions, commit, machine and command of a run."""
import json
import os
import os.path as osp
import platform
import shlex
import sys
import time
from typing import Any, Dict

from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.utils.environment import commit, hardware, versions
from caco_ext.utils.files import write_whole

FILE = 'run.json'


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Write versions, commit, machine and command of a run to ``run.json``.

    Each start and each resumption of the run writes one, beside its scalars.
    The report reads them.
    """

    changes_numbers = False

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write the file."""
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
