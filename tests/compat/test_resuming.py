"""Checkpoints of mmengine: whole, found, resumed where they were. Each defect
is shown beside its remedy."""
import contextlib
import json
import logging
import os

import pytest
import torch
from mmengine.fileio import LocalBackend
from torch.utils.data import BatchSampler, DataLoader

from caco_ext.utils.loaders import remaining_batches
from tests.helpers.processes import CPU, run
from tests.helpers.warm_python import warm_python

# Without the remedies, as caco_ext is not imported.
STOCK = """
import json, os, resource, sys
from mmengine.fileio import LocalBackend
from mmengine.runner import EpochBasedTrainLoop
from mmengine.runner.checkpoint import find_latest_checkpoint
from mmengine.visualization import LocalVisBackend
folder = sys.argv[1]
path = os.path.join(folder, 'epoch_2.pth')
backend, seen = LocalBackend(), {}
backend.put(b'old' * 1000, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
try:
    backend.put(b'new' * 3000, path)
except OSError:
    seen['left'] = os.path.getsize(path)
open(os.path.join(folder, 'last_checkpoint'), 'w').write(path)
seen['found'] = find_latest_checkpoint(folder)
seen['place'] = hasattr(EpochBasedTrainLoop, 'batches_done')
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    LocalVisBackend(folder).add_scalars(dict(loss=1.))
except OSError as error:
    seen['scalars'] = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, ) * 2)
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_without_the_remedies(tmp_path):
    output = run(warm_python(), '-c', STOCK, tmp_path, cwd=tmp_path, env=CPU)
    seen = json.loads(output.splitlines()[-1])
    # the old file is gone, half of the new one is there and is resumed from
    assert seen == dict(
        left=4000,
        found=str(tmp_path / 'epoch_2.pth'),
        place=False,
        scalars='[Errno 27] File too large')


def test_files_are_whole(tmp_path):
    import resource

    path = tmp_path / 'folder' / 'epoch_2.pth'
    backend = LocalBackend()
    backend.put(b'old' * 1000, str(path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        with pytest.raises(OSError, match='File too large'):
            backend.put(b'new' * 3000, str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b'old' * 1000
    assert [p.name for p in path.parent.iterdir()] == ['epoch_2.pth']


# TensorBoard writes in a thread of its own, which ends with a traceback.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadException'
                            'Warning')
@pytest.mark.parametrize('kind', ['LocalVisBackend', 'TensorboardVisBackend'])
def test_scalars_that_cannot_be_written_end_no_run(kind, tmp_path,
                                                   monkeypatch):
    """Said once; written again as soon as they can be."""
    import resource

    from mmengine.logging import MMLogger
    from mmengine.visualization import vis_backend
    said, handler = [], logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [handler])
    backend = getattr(vis_backend, kind)(str(tmp_path / 'vis'))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def add(first, last):
        for step in range(first, last):
            backend.add_scalars(dict(loss=step / 8), step)
            if kind.startswith('Tensor'):  # else it waits for minutes
                with contextlib.suppress(OSError):
                    backend._tensorboard.flush()

    add(0, 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        add(2, 6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    # what TensorBoard has found out in the background
    add(6, 9)
    backend.close()
    line, = said
    assert line.startswith(f'{kind} cannot write to {tmp_path}')
    if kind.startswith('Local'):
        lines = (tmp_path / 'vis' / 'scalars.json').read_text().splitlines()
        steps = [json.loads(line)['step'] for line in lines]
        assert steps == [0, 1, 6, 7, 8]
    else:
        from tensorboard.backend.event_processing import event_accumulator
        steps = set()
        # Each alone: their names count the writers of this process, and as
        # text ...10 comes before ...9.
        for path in (tmp_path / 'vis').glob('events*'):
            found = event_accumulator.EventAccumulator(str(path)).Reload()
            if 'loss' in found.Tags()['scalars']:
                steps.update(e.step for e in found.Scalars('loss'))
        assert steps >= {0, 1, 8}


def test_pipes_are_written_to_and_not_replaced(tmp_path):
    path = tmp_path / 'pipe'
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        LocalBackend().put(b'through', str(path))
        assert os.read(reader, 100) == b'through'
    finally:
        os.close(reader)
    assert path.is_fifo()
    assert os.listdir(tmp_path) == ['pipe']


def test_damaged_checkpoints_are_passed_over(tmp_path):
    from mmengine.runner import runner
    assert runner.find_latest_checkpoint(str(tmp_path)) is None
    for epoch in (1, 2):
        torch.save(dict(epoch=epoch), tmp_path / f'epoch_{epoch}.pth')
    torch.save({}, tmp_path / 'best_top1_epoch_2.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    assert runner.find_latest_checkpoint(str(tmp_path)) == str(tmp_path /
                                                               'epoch_2.pth')
    with open(tmp_path / 'epoch_2.pth', 'r+b') as file:
        file.truncate(100)
    assert runner.find_latest_checkpoint(str(tmp_path)) == str(tmp_path /
                                                               'epoch_1.pth')
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(RuntimeError, match='damaged or missing'):
        runner.find_latest_checkpoint(str(tmp_path))


class EveryOther:
    """A batch sampler of no known kind."""

    def __iter__(self):
        return iter([[0, 2], [4, 6], [8, 1]])

    def __len__(self):
        return 3


@pytest.mark.parametrize('options, batches', [
    (dict(batch_size=2), [[0, 1], [2, 3], [4, 5], [6, 7], [8]]),
    (dict(batch_size=2, num_workers=1), [[0, 1], [2, 3], [4, 5], [6, 7], [8]]),
    (dict(batch_sampler=EveryOther()), [[0, 2], [4, 6], [8, 1]]),
    (dict(batch_sampler=BatchSampler(range(8, -1, -1), 4, True)),
     [[8, 7, 6, 5], [4, 3, 2, 1]]),
])
def test_the_rest_of_an_epoch(options, batches):
    loader = DataLoader(range(9), **options)
    for done in range(len(batches) + 1):
        rest = [b.tolist() for b in remaining_batches(loader, done)]
        assert rest == batches[done:]
        # the next epoch is whole
        assert len(loader) == len(batches)
    assert [b.tolist() for b in loader] == batches
