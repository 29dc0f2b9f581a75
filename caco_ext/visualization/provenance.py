"""Where a run comes from: its config, versions, commit and machine."""
import os.path as osp
from glob import glob
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from caco_ext.transfer.results import FILE, read_results
from caco_ext.utils.config_files import config_path
from .panels import Code, Note, Panel, Table
from .run_logs import RunLog

# Settings that a runner reads. All others are variables of a config file.
_READ = ('model', 'auto_scale_lr', 'randomness', 'custom_imports',
         'param_scheduler', 'visualizer')
_READ_ENDS = ('_cfg', '_dataloader', '_wrapper', '_hooks', '_evaluator')
_ABSENT = '(absent)'
NO_CONFIG = 'The run left no config.py beside its scalars.'


def _flatten(value: Any, name: str = '') -> Dict[str, Any]:
    """Settings by dotted name; positions in lists are numbers."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, (list, tuple)) and any(
            isinstance(one, (dict, list, tuple)) for one in value):
        items = list(enumerate(value))
    else:
        return {name: list(value) if isinstance(value, tuple) else value}
    if not items:
        return {name: value}
    return {
        key: leaf
        for part, inner in items
        for key, leaf in _flatten(
            inner, f'{name}.{part}' if name else str(part)).items()
    }


def _differences(cfg: Config, base: Config) -> List[Tuple[str, str, str]]:
    """Name, base value and value here of settings that differ.

    Variables that a config file defines for its own use (``crop``, ``lr``,
    ...) are left out.
    """
    here, there = (
        _flatten({
            name: value
            for name, value in one.to_dict().items()
            if name in _READ or name.endswith(_READ_ENDS)
        }) for one in (cfg, base))
    # mmengine adds scopes to the config of what it builds.
    names = [
        name for name in dict.fromkeys([*there, *here])
        if not name.endswith('_scope_')
    ]
    return [(name, _text(there, name), _text(here, name)) for name in names
            if _text(there, name) != _text(here, name)]


def _text(settings: Dict[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else _ABSENT


def find_base(log: RunLog, cfg: Config) -> Optional[str]:
    """Find the config that a run comes from.

    A config of the package comes first: the one that the run noted, or whose
    copy is in the work directory, else the one of the same method that
    differs least.

    Args:
        log (RunLog): The run.
        cfg (Config): Its config.

    Returns:
        str | None: Path of that config; else of the file that the run was
        started with; None where that is gone.
    """
    noted = log.record.get('config') or ''
    try:
        caco = osp.dirname(config_path('caco/metafile.yml'))
        found = sorted(glob(osp.join(osp.dirname(caco), '[!_]*', '*.py')))
    except FileNotFoundError:
        found = []
    for path in found:
        name = osp.basename(path)
        if name == osp.basename(noted) or osp.isfile(
                osp.join(log.work_dir, name)):
            return path
    kind = _kind(cfg)
    # Reading all takes seconds, and most names begin with the method.
    named = [
        path for path in found
        if osp.basename(path).lower().startswith(kind.lower())
    ]
    bases = [(Config.fromfile(path), path) for path in named or found]
    counts = [(len(_differences(cfg, base)), path) for base, path in bases
              if _kind(base) == kind]
    if counts:
        return min(counts)[1]
    return noted if osp.isfile(noted) else None


def _kind(cfg: Config) -> str:
    """The method of a config, without its scope."""
    return str((cfg.get('model') or {}).get('type', '')).split('.')[-1]


def config_panels(log: RunLog, base: Optional[str] = None) -> List[Panel]:
    """The config of a run and what differs from its base.

    Args:
        log (RunLog): The run.
        base (str, optional): Config to compare with. Defaults to None: see
            :func:`find_base`.

    Returns:
        list[Panel]: Panels, or a note where the run left no config.
    """
    cfg = log.cfg
    if cfg is None:
        return [Note(NO_CONFIG)]
    base = base or find_base(log, cfg)
    panels: List[Panel] = []
    if base is None:
        panels.append(
            Note('No config of this package is of this method, so '
                 'there is none to compare with; name one with '
                 '--base.'))
    else:
        rows = _differences(cfg, Config.fromfile(base))
        name = osp.basename(base)
        panels.append(
            Table(f'What differs from {name}', ('setting', 'base', 'this run'),
                  rows) if rows else Note(f'Nothing differs from {name}.'))
    return [*panels, Code('The whole config', cfg.pretty_text)]


def record_panels(log: RunLog) -> List[Panel]:
    """Versions, commit, machine and command of a run.

    Args:
        log (RunLog): The run.

    Returns:
        list[Panel]: A table, or a note where the run noted nothing.
    """
    if not log.record:
        return [
            Note('The run noted no versions, commit and machine: '
                 'RunRecordHook was not among its hooks. Its .log file begins '
                 'with the environment.')
        ]
    rows = []
    for name, value in log.record.items():
        if isinstance(value, dict):
            value = ', '.join(f'{k} {v}' for k, v in value.items())
        rows.append((name.replace('_', ' '), str(value)))
    return [Table('Versions, commit and machine', ('', ''), rows)]


def results_panel(folders: List[str]) -> Panel:
    """Make a table of the results of benchmarks.

    Args:
        folders (list[str]): Where to look for results.json, also in their
            subfolders.

    Returns:
        Table | Note: A note where there is none.
    """
    rows = []
    found = {
        path
        for folder in folders
        for path in glob(osp.join(folder, '**', FILE), recursive=True)
    }
    for path in sorted(found):
        content = read_results(path)
        best = content.get('best', {})
        for name, value in content['metrics'].items():
            top = best.get(name, {}).get('value')
            rows.append((content['task'], name, f'{value:.4g}',
                         '' if top is None else f'{top:.4g}',
                         osp.basename((content.get('checkpoint')
                                       or {}).get('path', 'random')),
                         content.get('protocol', '')))
    if not rows:
        return Note('No results.json of a benchmark is below the work '
                    'directory; tools/benchmarks/TASK/run.sh writes one, and '
                    '--results names further folders.')
    return Table('Results of benchmarks',
                 ('task', 'metric', 'last', 'best', 'checkpoint', 'protocol'),
                 rows)
