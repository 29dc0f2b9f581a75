"""Real, tiny runs that meet real faults."""
import contextlib
import hashlib
import json
import os
import os.path as osp
import signal

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from PIL import Image

import caco_ext  # noqa: F401
from tests.helpers.small_models import BACKBONE, BANK, CONFIGS, NECK

METHODS = ('AdCo', 'CaCo', 'CLSA', 'CARE')
# 26 pictures, 8 a batch: 3 iterations an epoch, 5 of the fill.
PICTURES, BATCH, LENGTH, EPOCHS = 26, 8, 3, 2
NORM = dict(
    type='mmselfsup.SelfSupDataPreprocessor',
    mean=(120., ) * 3,
    std=(60., ) * 3)


def write_pictures(folder, count=PICTURES):
    """Pictures of coloured noise; gives the folder back."""
    rng = np.random.default_rng(0)
    os.makedirs(folder, exist_ok=True)
    for i in range(count):
        tint = rng.integers(0, 128, 3)
        pixels = rng.integers(0, 128, (36, 36, 3)) + tint
        Image.fromarray(pixels.astype(np.uint8)).save(
            osp.join(folder, f'{i:02d}.png'))
    return str(folder)


def hashed(model):
    """One word for all bits of memory and key encoder, but for statistics,
    which synchronise themselves."""
    word = hashlib.sha1()
    for name, value in model.state_dict().items():
        if name.startswith(('memory', 'key_encoder')) and \
                'running' not in name:
            word.update(value.detach().contiguous().numpy().tobytes())
    return word.hexdigest()


@HOOKS.register_module(name='ReliabilityRecord')
class Record(Hook):
    """Writes what each iteration saw and gave."""

    priority = 'LOW'
    changes_numbers = False

    def after_fill_iter(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        self.write(runner, 'fill',
                   dict(iter=int(model.memory.filled), state=hashed(model)))

    def write(self, runner, name, line):
        path = osp.join(runner.work_dir, f'{name}{get_rank()}.jsonl')
        with open(path, 'a') as file:
            file.write(json.dumps(line) + '\n')

    def before_train_iter(self, runner, *args, **kwargs):
        self.settings = [[
            float(group[name]).hex()
            for name in ('lr', 'momentum', 'weight_decay')
        ] for group in runner.optim_wrapper.optimizer.param_groups]

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        line = dict(
            iter=runner.iter,
            batch=batch_idx,
            losses={
                k: float(v).hex()
                for k, v in outputs.items()
            },
            paths=[
                osp.basename(s.img_path) for s in data_batch['data_samples']
            ],
            pixels=[int(v.long().sum()) for v in data_batch['inputs']])
        line['settings'] = self.settings
        model = getattr(runner.model, 'module', runner.model)
        if getattr(model, 'memory', None) is not None:
            # one number that every place of every column changes
            columns = model.memory.state_dict()['columns'].double().flatten()
            weights = torch.arange(len(columns)).double().cos()
            line['memory'] = float(columns @ weights).hex()
        line['state'] = hashed(model)
        self.write(runner, 'record', line)


@HOOKS.register_module(name='ReliabilitySignal')
class Signal(Hook):
    """Sends this process a signal at one moment.

    Args:
        moment (str): 'fill', 'iter', 'epoch' or, on rank 0 before its file is
            written, 'save'.
        number (int): Which of them, from 1.
        ranks (Sequence[int]): The ranks that get it.
        what (str): The signal.
    """

    priority = 'HIGHEST'
    changes_numbers = False

    def __init__(self, moment, number, ranks=(0, ), what='SIGTERM'):
        self.moment, self.number, self.ranks = moment, number, ranks
        self.what = getattr(signal, what)
        self.count = self.saves = 0

    def _happens(self, moment, number):
        if (moment, number) == (self.moment,
                                self.number) and get_rank() in self.ranks:
            os.kill(os.getpid(), self.what)

    def after_fill_iter(self, runner):
        self.count += 1
        self._happens('fill', self.count)

    def before_save_checkpoint(self, runner, checkpoint):
        self.saves += 1
        self._happens('save', self.saves)

    def after_train_iter(self, runner, *args, **kwargs):
        self._happens('iter', runner.iter + 1)

    def after_train_epoch(self, runner):
        self._happens('epoch', runner.epoch + 1)


# Options of a run whose memory is sharded over the ranks.
SHARDED = dict(
    model__memory__shard=True,
    default_hooks__sharded_memory=dict(type='ShardedMemoryHook'))


def config(data, work_dir, method='CaCo', hooks=(), **changes):
    """A run of two epochs of three iterations.

    Args:
        data (str): Folder of :func:`write_pictures`.
        work_dir (str): Work folder.
        method (str): One of the four.
        hooks (Sequence[dict]): More hooks.
        **changes: Of the config, by double underscores.
    """
    model = dict(
        dict(
            type=method, data_preprocessor=NORM, backbone=BACKBONE, neck=NECK),
        **CONFIGS[method])
    if method in ('AdCo', 'CaCo'):
        model['memory'] = dict(BANK, init='fill', lr=dict(start=1., warmup=2))
    views = 3 if method == 'CLSA' else 2
    crop = [
        dict(type='ViewRandomResizedCrop', size=32, scale=(0.5, 1.)),
        dict(type='ViewFlip'),
        dict(
            type='ViewColorJitter',
            brightness=.4,
            contrast=.4,
            saturation=.4,
            hue=.1)
    ]
    ranks = get_world_size()
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
    if method == 'CaCo':
        optimizer = dict(type='CaCoLARS', lr=0.5, momentum=0.9)
    wrapper = dict(type='OptimWrapper', optimizer=optimizer)
    if method == 'CARE':
        wrapper['type'] = 'AmpOptimWrapper'
    cfg = Config(
        dict(
            work_dir=str(work_dir),
            default_scope='mmselfsup',
            model=model,
            train_dataloader=dict(
                batch_size=BATCH // ranks,
                num_workers=0,
                drop_last=True,
                sampler=dict(type='EpochSeededSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
                dataset=dict(
                    type='ImageFolder',
                    data_root=data,
                    serialize_data=False,
                    pipeline=[
                        dict(type='LoadImage'),
                        dict(
                            type='MultiCrop',
                            num_views=[views],
                            transforms=[crop]),
                        dict(
                            type='mmselfsup.PackSelfSupInputs',
                            meta_keys=['img_path'])
                    ])),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=EPOCHS),
            optim_wrapper=wrapper,
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, end=2),
                dict(
                    type='CosineAnnealingLR',
                    T_max=LENGTH * EPOCHS,
                    by_epoch=False,
                    end=LENGTH * EPOCHS)
            ],
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='ResumableCheckpointHook', interval=1),
                setup_check=dict(type='SetupCheckHook'),
                finite_check=dict(type='FiniteCheckHook'),
                bank_fill=dict(type='BankFillHook'),
                preemption=dict(type='PreemptionHook'),
                metrics=dict(type='TrainingMetricsHook', interval=1)),
            custom_hooks=[dict(type='ReliabilityRecord'), *hooks],
            launcher='pytorch' if ranks > 1 else 'none',
            log_level='ERROR',
            randomness=dict(seed=0)),
        # takes half the time of a run
        format_python_code=False)
    cfg.merge_from_dict({
        key.replace('__', '.'): value
        for key, value in changes.items()
    })
    # The host keeps loggers and message hubs by this name.
    config.count += 1
    cfg.experiment_name = f'{osp.basename(str(work_dir))}-{config.count}'
    return cfg


config.count = 0


def train(*args, **kwargs):
    """Train in this process; gives the runner."""
    runner = Runner.from_cfg(config(*args, **kwargs))
    # Writes pages of log; torch's initialisation serves.
    getattr(runner.model, 'module', runner.model).init_weights = lambda: None
    torch.manual_seed(100 + get_rank())
    runner.train()
    return runner


def stopped(*args, **kwargs):
    """Train until a signal ends it; gives the exit status."""
    try:
        train(*args, **kwargs)
    except SystemExit as error:
        return error.code
    return 0


@contextlib.contextmanager
def double_precision():
    """Inside, differences between runs are those of the method, and not what
    single precision rounds off."""
    as_float = torch.Tensor.float
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.Tensor.float = as_float


def in_child(fn, *args, **kwargs):
    """Call in a forked process, which may die; gives its exit status."""
    pid = os.fork()
    if not pid:
        try:
            # Those that an earlier test may have started are not here.
            torch.set_num_threads(1)
            fn(*args, **kwargs)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def read(path):
    """A checkpoint."""
    return torch.load(path, map_location='cpu', weights_only=True)


def record(work_dir, rank=0, name='record'):
    """What :class:`Record` wrote, the last line of each iteration."""
    path = osp.join(str(work_dir), f'{name}{rank}.jsonl')
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    return {line['iter']: line for line in lines}


def differences(one, other, where=''):
    """Names of everything in two nested structures that is not bit-equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [f'{where}.{k}' for k in set(one).symmetric_difference(other)]
        for key in one:
            if key in other:
                names += differences(one[key], other[key], f'{where}.{key}')
        return names
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        return [
            name for i, (a, b) in enumerate(zip(one, other))
            for name in differences(a, b, f'{where}[{i}]')
        ]
    if isinstance(one, torch.Tensor):
        same = torch.equal(one, other)
    else:
        same = one == other
    return [] if same else [where]


def assert_same(work_dir, reference, ranks=1, **kwargs):
    """Two runs saw the same batches, had the same losses, ended the same."""
    for rank in range(ranks):
        one, other = record(work_dir, rank), record(reference, rank)
        assert one == other
    assert_same_end(work_dir, reference, **kwargs)


def assert_same_end(work_dir,
                    reference,
                    name=f'epoch_{EPOCHS}.pth',
                    other_source=False):
    """Two runs ended with the same checkpoint. If they read the pictures from
    files of another kind, the names of these have another checksum."""
    one, other = (
        read(osp.join(str(folder), name)) for folder in (work_dir, reference))
    if other_source:
        digests = [x['run_state']['data'].pop('digest') for x in (one, other)]
        assert all(digests) and len(set(digests)) == 2
    for key in ('state_dict', 'optimizer', 'param_schedulers', 'run_state'):
        assert not differences(one[key], other[key], key)
    for key in ('epoch', 'iter'):
        assert one['meta'][key] == other['meta'][key]
