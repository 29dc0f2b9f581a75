"""From a command line to a config, in the same way for every tool."""
import argparse
import os
import os.path as osp
import signal
import sys
from typing import Callable, Optional, Sequence

from mmengine.config import Config, DictAction

from .config_files import read_config
from .errors import UsageError, last_words
from .extras import check_host
from .launchers import choose_launcher
from .options import check_options
from .presets import data_options
from .text import printable


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make the parser of a tool.

    Args:
        description (str): The tool's docstring, shown without changes.

    Returns:
        ArgumentParser: Without arguments.
    """
    return argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share.

    Args:
        parser (ArgumentParser): The tool's parser.
    """
    parser.add_argument(
        '--work-dir',
        help='folder for logs and results, default: work_dir of the config, '
        'else work_dirs/<name of the config>')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='replace settings of the config, e.g. '
        'optim_wrapper.optimizer.lr=0.1 or model.neck.num_layers=3; '
        'lists as KEY="[a,b]", tuples as KEY="(a,b)"; blanks in a path stay: '
        "KEY='/my pictures/train'; a text with a comma in quotes of its own: "
        'KEY=\'"/a,b/c"\'')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        help='what started the processes, default: found out; torchrun is '
        'pytorch, srun slurm, mpirun mpi, and none a process of its own')
    # torch.distributed.launch passes the second spelling.
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help='set by the launcher')


def load_config(args: argparse.Namespace) -> Config:
    """Load the config that the arguments describe.

    Args:
        args (Namespace): Those of :func:`add_common_arguments`, and
            ``config``. With ``data``, the config's pictures are replaced.

    Returns:
        Config: With the options merged, and ``launcher`` and ``work_dir``
        set.

    Raises:
        UsageError: There is no such config or option, the config cannot be
            read, or the launcher does not fit the environment.
        MissingExtraError: The config's host is not installed.
    """
    try:
        launcher = choose_launcher(args.launcher, os.environ)
    except ValueError as error:
        raise UsageError(error) from error
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    cfg.launcher = launcher
    if getattr(args, 'data', None):
        cfg.merge_from_dict(data_options(cfg, args.data))
    if args.cfg_options:
        try:
            check_options(cfg, args.cfg_options)
            cfg.merge_from_dict(args.cfg_options)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f'--cfg-options: {error}') from error
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('work_dirs', name)
    check_host(cfg.get('default_scope'))
    if printable(cfg.work_dir) != cfg.work_dir:
        raise UsageError(f'--work-dir {printable(cfg.work_dir)}: the name is '
                         'not UTF-8, and neither torch nor TensorBoard writes '
                         'into such a folder; choose another one')
    return cfg


def cpus_per_process(argv: Sequence[str]) -> int:
    """Count the CPUs that a process and the workers of its loader keep busy.

    Args:
        argv (Sequence[str]): Config and options of a trainer.

    Returns:
        int: One more than the most ``num_workers`` of the config; 5 if it
        names none.

    Raises:
        UsageError: The config cannot be read.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('config')
    add_common_arguments(parser)
    args, _ = parser.parse_known_args(argv)
    cfg = read_config(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    workers = [
        one['num_workers'] for one in (cfg, cfg.get('train_dataloader') or {})
        if 'num_workers' in one
    ]
    return 1 + max(workers, default=4)


def run_tool(parser: argparse.ArgumentParser,
             main: Callable[[argparse.Namespace], None],
             argv: Optional[Sequence[str]] = None) -> None:
    """Parse the command line and run; any error, and Ctrl-C, ends on one line.

    The stack goes to the log file of the run, if there is one (see
    :func:`~caco_ext.utils.errors.last_words`).

    Args:
        parser (ArgumentParser): The tool's parser.
        main (Callable): Called with the arguments.
        argv (Sequence[str], optional): The command line. Defaults to this
            process's.
    """
    if hasattr(sys.stdout, 'reconfigure'):  # for names that are not UTF-8
        sys.stdout.reconfigure(errors='backslashreplace')
    argv = sys.argv[1:] if argv is None else argv
    try:
        # Options may stand between positional arguments, some of them
        # optional.
        args = parser.parse_intermixed_args(argv)
    except (ValueError, AssertionError) as error:
        # DictAction splits a pair without a check.
        parser.error(f'--cfg-options wants KEY=VALUE: {error}')
    try:
        main(args)
    except KeyboardInterrupt:
        print(f'\n{parser.prog}: interrupted', file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        sys.exit(last_words(parser.prog, error))
