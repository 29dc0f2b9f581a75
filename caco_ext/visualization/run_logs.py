"""Find and read what a run left in its work dir."""
import difflib
import glob
import os
import os.path as osp
import re
from dataclasses import dataclass, field
from functools import cached_property
from inspect import signature
from math import ceil
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from caco_ext.engine.hooks.knn_hook import KNNHook
from caco_ext.evaluation import find_knn_options
from caco_ext.utils.files import resumable
from .scalars import read_record, read_rows, warn_of

RECORD = 'run.json'


@dataclass
class RunLog:
    """Scalars of a run, from all its resumed parts.

    Lines and files that are damaged are left out, with a warning.

    Attributes:
        work_dir (str): Where the run left them.
        train (list[dict]): Logged training rows in order; each has ``epoch``,
            ``iter`` and ``loss``.
        knn (dict[int, dict]): kNN results by epoch; 0 is the untrained
            network.
        drift (dict[int, float]): Mean angle by which the bank's columns
            turned, in degrees, by epoch. Empty where it was not logged.
        config (str, optional): The config file of the last part.
        checkpoint (str, optional): The last checkpoint.
        record (dict): What :class:`RunRecordHook` noted of the last part.
            Empty without the hook.
    """
    work_dir: str
    train: List[dict] = field(default_factory=list)
    knn: Dict[int, dict] = field(default_factory=dict)
    drift: Dict[int, float] = field(default_factory=dict)
    config: Optional[str] = None
    checkpoint: Optional[str] = None
    record: Dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """str: Name of the folder."""
        return osp.basename(osp.abspath(self.work_dir))

    @cached_property
    def cfg(self) -> Optional[Config]:
        """Config | None: What ``config`` holds."""
        return Config.fromfile(self.config) if self.config else None

    def loss_by_epoch(self) -> Tuple[List[int], List[float]]:
        """Average the logged losses of every epoch.

        Returns:
            tuple[list[int], list[float]]: Epochs (from 1) and mean losses.
        """
        sums: Dict[int, list] = {}
        for row in self.train:
            sums.setdefault(row['epoch'], []).append(row['loss'])
        return list(sums), [sum(v) / len(v) for v in sums.values()]

    @property
    def epoch_length(self) -> float:
        """float: Iterations of an epoch; an estimate where none was noted."""
        if 'epoch_length' in self.record:
            return self.record['epoch_length']
        # iteration i of epoch e: (e - 1) length < i <= e length
        least = max(ceil(row['iter'] / row['epoch']) for row in self.train)
        most = [(row['iter'] - 1) / (row['epoch'] - 1) for row in self.train
                if row['epoch'] > 1]
        return max(least, (least + int(min(most))) / 2) if most else least

    def scalar(self, name: str) -> Tuple[List[float], List[float]]:
        """Look up a logged number over the training.

        Args:
            name (str): Its name in the scalars file.

        Returns:
            tuple[list[float], list[float]]: Epochs, with fractions, and
            values.
        """
        length = self.epoch_length
        rows = [
            row for row in self.train
            if isinstance(row.get(name), (int, float))
        ]
        return ([row['iter'] / length
                 for row in rows], [row[name] for row in rows])

    @property
    def knn_name(self) -> Optional[str]:
        """str | None: Name of the top-1 accuracy; of the first k if many."""
        names = [n for row in self.knn.values() for n in row if 'top1' in n]
        return names[0] if names else None

    @property
    def knn_k(self) -> Optional[int]:
        """int | None: Number of neighbours that vote; None if not known."""
        named = (self.knn_name or '').partition('_k')[2]
        if named:
            return int(named)
        options = find_knn_options(self.cfg) if self.cfg is not None else None
        if options is None:
            return None
        k = options.get('k', signature(KNNHook).parameters['k'].default)
        return k if isinstance(k, int) else k[0]

    def knn_by_epoch(self) -> Tuple[List[int], List[float]]:
        """List the top-1 accuracies, without the untrained network.

        Returns:
            tuple[list[int], list[float]]: Epochs and per cent.
        """
        name = self.knn_name
        epochs = sorted(e for e in self.knn if e > 0 and name in self.knn[e])
        return epochs, [self.knn[e][name] for e in epochs]

    @property
    def untrained_knn(self) -> Optional[float]:
        """float | None: Top-1 accuracy of the untrained network."""
        return self.knn.get(0, {}).get(self.knn_name)

    def checkpoints(self) -> Dict[int, str]:
        """List the checkpoints of epochs that still exist.

        Returns:
            dict[int, str]: Paths by epoch, in order.
        """
        found = {}
        pattern = osp.join(glob.escape(self.work_dir), 'epoch_*.pth')
        for path in glob.glob(pattern):
            match = re.fullmatch(r'epoch_(\d+)\.pth', osp.basename(path))
            if match:
                found[int(match[1])] = path
        return dict(sorted(found.items()))


def _add_part(log: RunLog, rows: List[dict], record: Dict[str, Any]) -> bool:
    """Append a resumed part. Iterations that it repeats are replaced.

    A part that ended before it logged a loss still counts if it has a record
    or a kNN result.

    Returns:
        bool: Whether it belongs to a training; tests leave scalars too.
    """
    train = [r for r in rows if 'loss' in r and 'iter' in r and 'epoch' in r]
    knn = {
        r['step']: r
        for r in rows if 'step' in r and any(n.startswith('knn/') for n in r)
    }
    drift = {
        r['step']: r['bank/drift']
        for r in rows if 'step' in r and 'bank/drift' in r
    }
    begin = record.get('begins_at_iteration')
    if not (train or begin is not None or any(knn) or drift):
        return False
    epochs = [row['epoch'] for row in train] or [e for e in knn if e]
    first_epoch = min(epochs, default=1)
    if begin is None:
        # A part that begins with epoch 1 is a new run in the same folder.
        is_new = 0 in knn or (first_epoch == 1 and bool(train))
        begin = min(row['iter'] for row in train) - 1 if train else None
    else:
        is_new = begin == 0
        first_epoch = begin // record['epoch_length'] + 1 \
            if 'epoch_length' in record else first_epoch
    if begin is not None:
        log.train = [r for r in log.train if r['iter'] <= begin]
    for earlier in (log.knn, log.drift):
        for epoch in [*earlier]:
            if is_new or epoch >= first_epoch:
                del earlier[epoch]
    if is_new:
        log.train = []
    log.train += train
    log.knn.update(knn)
    log.drift.update(drift)
    return True


def find_last_checkpoint(work_dir: str) -> Optional[str]:
    """Find the checkpoint that a run saved last.

    Args:
        work_dir (str): Folder of the run.

    Returns:
        str | None: Its path, also after the folder was moved. The newest
        checkpoint where the training has just removed the last one.
    """
    if not osp.isfile(osp.join(work_dir, 'last_checkpoint')):
        return None
    return next(filter(osp.isfile, resumable(work_dir)), None)


def _check_folder(work_dir: str) -> None:
    """Refuse a folder that does not exist, with the nearest name."""
    if osp.isdir(work_dir):
        return
    kind = 'is a file' if osp.exists(work_dir) else 'does not exist'
    parent = osp.dirname(osp.abspath(work_dir))
    beside = os.listdir(parent) if osp.isdir(parent) else []
    near = difflib.get_close_matches(osp.basename(work_dir), beside, 1)
    hint = f', as {osp.join(parent, near[0])}' if near and \
        osp.isdir(osp.join(parent, near[0])) else ''
    raise FileNotFoundError(f'{work_dir} {kind}; name the work folder of a '
                            f'training{hint}')


def read_run(work_dir: str) -> RunLog:
    """Read the scalars of all parts of a run and find its other files.

    Args:
        work_dir (str): The ``work_dir`` of the run.

    Returns:
        RunLog: What was found. Parts without a training, such as a test, are
        left out.

    Raises:
        FileNotFoundError: There are no scalars.
        ValueError: They are of a run that counts no epochs.
    """
    _check_folder(work_dir)
    pattern = osp.join(glob.escape(work_dir), '*', 'vis_data', 'scalars.json')
    log, configs, by_iteration = RunLog(work_dir), [], False
    for path in sorted(glob.glob(pattern)):  # folders are named by time
        rows = read_rows(path)
        folder = osp.dirname(path)
        record = read_record(osp.join(folder, RECORD))
        by_iteration |= any('loss' in r and 'epoch' not in r for r in rows)
        if _add_part(log, rows, record):
            configs.append(osp.join(folder, 'config.py'))
            log.record = record or log.record
    if not log.train and by_iteration:
        raise ValueError(
            f'{pattern} counts iterations only; set train_cfg=dict('
            'by_epoch=True, ...) for a training that is to be drawn')
    if not log.train:
        raise FileNotFoundError(
            f'{pattern} has no logged losses; WORK_DIR must be the work_dir '
            'of a training that has logged at least once')
    for config in filter(osp.isfile, reversed(configs)):
        try:
            log.cfg = Config.fromfile(config)
        except Exception as error:  # a config is a program
            warn_of(config, error)
            continue
        log.config = config
        break
    log.checkpoint = find_last_checkpoint(work_dir)
    return log
