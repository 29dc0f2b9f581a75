"""Linear evaluation of a frozen backbone on many small data sets."""
import argparse
import os.path as osp
import re
from typing import Callable, Dict

from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from caco_ext.converters import CheckpointError
from caco_ext.utils import UsageError
from caco_ext.utils.errors import keep_stack, one_line
from caco_ext.utils.extras import MissingExtraError, check_host, import_extra
from caco_ext.utils.names import nearest_names
from caco_ext.utils.run_lock import hold
from .frozen import RANDOM, FrozenBackbone
from .manyset_data import SETS, default_root
from .manyset_probe import PREPROCESSOR, SCOPE, TASK, ManySets


def choose_sets(args: argparse.Namespace) -> Dict[str, str]:
    """Which data sets to measure.

    Args:
        args (Namespace): ``datasets``, ``data`` and ``root``.

    Returns:
        dict[str, str]: The ``data_root`` of each, by name.

    Raises:
        UsageError: A name is unknown or an option is not used.
    """
    own = {}
    for pair in args.data:
        name, sign, root = pair.partition('=')
        if not (sign and root and re.fullmatch(r'[\w.-]+', name)):
            raise UsageError(f'--data {pair}: write NAME=ROOT, such as '
                             'cifar10=/path/to/pictures')
        own[name] = root
    names = list(own or SETS)
    if args.datasets is not None:
        names = list(dict.fromkeys(filter(None, args.datasets.split(','))))
    for name in names:
        if name not in own and name not in SETS:
            near = ', '.join(nearest_names(name, SETS) or SETS)
            raise UsageError(f'--datasets: no data set {name!r} (nearest: '
                             f'{near}); give own ones as --data {name}=ROOT')
    unused = [name for name in own if name not in names]
    if unused or not names:
        raise UsageError(f'--datasets {args.datasets} leaves out what --data '
                         f'names: {", ".join(unused)}'
                         if unused else '--datasets names no data set')
    return {
        name: own.get(name) or default_root(name, args.root)
        for name in names
    }


def run_manyset(args: argparse.Namespace,
                find_checkpoint: Callable[[str], str]) -> None:
    """Measure all data sets, write ``results.json`` and ``table.md``.

    Args:
        args (Namespace): The options of
            ``tools/benchmarks/manyset/test_manyset.py``.
        find_checkpoint (Callable): Turns the name of a checkpoint into a
            file.

    Raises:
        UsageError: An option is wrong. Or data sets were not measured; the
            log says why, and the others are in the results.
    """
    roots = choose_sets(args)
    for option, least in (('size', 1), ('batch_size', 1), ('num_workers', 0)):
        if getattr(args, option) < least:
            raise UsageError(f'--{option.replace("_", "-")} '
                             f'{getattr(args, option)} must be at least '
                             f'{least}')
    import_extra('sklearn', 'data', 'A linear probe')
    check_host(SCOPE)
    init_default_scope(SCOPE)
    model = _open_backbone(args, find_checkpoint)
    name = osp.splitext(osp.basename(model.proof['path']))[0]
    folder = args.work_dir or osp.join(
        'work_dirs', 'benchmarks', TASK,
        f'{name}-{model.proof["sha256"][:8]}-{args.size}px')
    with hold(folder):
        logger = MMLogger.get_instance(
            TASK, logger_name='caco_ext', log_file=osp.join(folder, 'log.txt'))
        logger.info(f'{model.proof}')
        _measure_all(ManySets(model, folder, args), roots, logger)


def _open_backbone(args: argparse.Namespace,
                   find_checkpoint: Callable[[str], str]) -> FrozenBackbone:
    """The backbone that the options name, on its device."""
    path = args.checkpoint
    ways = (args.part, args.supervised, args.trust, args.src_prefix)
    if path in RANDOM and ways != ('backbone', False, False, ''):
        raise UsageError(f'{path} is an untrained network; --part, '
                         '--supervised, --trust and --src-prefix are for '
                         'checkpoints')
    try:
        if path not in RANDOM:
            path = find_checkpoint(path)
        model = FrozenBackbone(path, PREPROCESSOR, *ways)
    except (CheckpointError, FileNotFoundError) as error:
        raise UsageError(error) from error
    return model.to(get_device()).eval()


def _measure_all(sets: ManySets, roots: Dict[str, str],
                 logger: MMLogger) -> None:
    """Measure; print the table. A UsageError names what failed."""
    failed = []
    for name, root in roots.items():
        try:
            new = sets.measure(name, root)
        except (OSError, ValueError, RuntimeError, MissingExtraError) as error:
            failed.append(name)
            keep_stack(error)
            logger.error(f'{name}: {one_line(error)}')
            continue
        entry = sets.entries[name]
        logger.info(f'{name}: {entry["accuracy"]:.2f} ({entry["metric"]})'
                    f'{"" if new else ", measured before"}')
    if sets.entries:
        print(sets.table(), end='')
        logger.info(f'written to {sets.folder}')
    if failed:
        raise UsageError(f'not measured: {", ".join(failed)}; the lines above '
                         'say why. The same command measures them once that '
                         'is mended')
