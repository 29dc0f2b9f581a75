# Licensed under the Apache License, Version 2.0.
"""Remedies for defects of the host packages.

The host packages (mmengine, mmcv, mmcls, mmselfsup) are no longer developed,
while torch is. Each remedy is one function that fixes one defect, and does
nothing if the defect is absent. It returns whether it is in force, and why.
Its docstring says what breaks in which release, the remedy, and how long it
is needed. The last release of mmengine 0.10 is 0.10.7. :func:`apply` runs all
remedies when ``caco_ext`` is imported. So
``custom_imports = dict(imports=['caco_ext'])`` in a config is enough to make
a stock trainer work.
"""
from typing import Callable, Dict, List, NamedTuple

from .versions import Outcome, check_versions


class Remedy(NamedTuple):
    """What :func:`remedies` reports about one remedy.

    Attributes:
        name (str): Name of the function.
        in_force (bool): Whether it changed something.
        why (str): What it did, or why there was nothing to do.
    """
    name: str
    in_force: bool
    why: str


_REPORT: Dict[str, Remedy] = {}


def apply() -> None:
    """Run every remedy, once per process, in a fixed order.

    Raises:
        ImportError: From :func:`check_versions`.
    """
    _run(check_versions)
    # The rest needs torch and mmengine. If they are missing, the check above
    # must report it, not an import.
    from . import (checkpoints, distributed, hosts, logs, mmpretrain_scopes,
                   operators, precision, registries, resuming, syncbn,
                   trackers, zero)

    # Operators first: an import of mmcv.cnn decides whether they exist.
    for func in (operators.operators_from_torchvision,
                 hosts.mend_registry_locations,
                 mmpretrain_scopes.lend_former_scopes,
                 hosts.build_inherited_collate_fn, hosts.load_without_workers,
                 hosts.remove_hooks_by_none, hosts.keep_blanks_in_options,
                 registries.name_the_nearest_type,
                 registries.check_types_first, hosts.format_configs_once,
                 hosts.silence_noise, hosts.mend_mixed_precision,
                 precision.leave_bfloat16_unscaled, precision.set_tf32,
                 checkpoints.allow_checkpoint_classes,
                 checkpoints.notice_damaged_checkpoints,
                 resuming.write_files_whole, resuming.find_whole_checkpoint,
                 resuming.resume_inside_epoch, resuming.outlast_full_disks,
                 resuming.keep_on_resume, resuming.train_alone,
                 distributed.launch_on_cpu, distributed.refuse_separate_runs,
                 zero.shard_any_optimizer, zero.save_sharded_state,
                 syncbn.sync_batchnorm_on_cpu,
                 syncbn.sync_batchnorm_without_waits, logs.log_any_file_name,
                 logs.append_to_histories_in_place, trackers.log_to_mlflow):
        _run(func)


def _run(func: Callable[[], Outcome]) -> None:
    """Call ``func`` once, and store its outcome."""
    if func.__name__ not in _REPORT:
        _REPORT[func.__name__] = Remedy(func.__name__, *func())


def remedies() -> List[Remedy]:
    """Report the remedies that :func:`apply` ran.

    Returns:
        list[Remedy]: (name, in_force, why) in the order of application.
    """
    return list(_REPORT.values())


__all__ = ['Remedy', 'apply', 'check_versions', 'remedies']
