"""Section 'waits' of gpu_check.py: does the CPU wait for the GPU?

A training run of each method with the hooks of its preset, in one process.
torch reports the calls that wait. They are counted in one iteration that
neither sets up nor logs nor saves.
"""
import tempfile
import traceback
import warnings
from collections import Counter
from typing import Any, Dict, List, Optional

import torch
from gpu_rows import Check
from gpu_training import PRESETS, WRAPPERS, precisions, preset, view_sizes
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

# The iteration that is watched, from 0, and the number of them.
WATCHED, ITERATIONS = 4, 8
# Hooks of the presets that write files or read pictures.
LEFT_OUT = ('checkpoint', 'record', 'setup_check', 'broken_pictures')


class Waits:
    """A context that counts the calls that wait for the GPU, by place.

    Attributes:
        places (Counter): The lines that called, and how often.
    """

    def __init__(self) -> None:
        self.places: Counter = Counter()

    def _note(self, message: Any, *args: Any, **kwargs: Any) -> None:
        if 'called a synchronizing CUDA' in str(message):
            self.places[self._caller()] += 1

    @staticmethod
    def _caller() -> str:
        """The line that waits, and the last line of ours or mmengine's."""
        frames = [
            frame for frame in traceback.extract_stack()
            if frame.filename not in (__file__, warnings.__file__)
        ]
        ours = [
            frame for frame in frames
            if 'caco_ext' in frame.filename or '/mm' in frame.filename
        ]
        return ' <- '.join(
            dict.fromkeys(
                f'{"/".join(frame.filename.split("/")[-2:])}:{frame.lineno}'
                for frame in (*frames[-1:], *ours[-1:])))

    def __enter__(self) -> 'Waits':
        self._kept = warnings.catch_warnings()
        self._kept.__enter__()
        warnings.simplefilter('always')
        warnings.showwarning = self._note
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode('warn')
        return self

    def __exit__(self, *_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode('default')
        self._kept.__exit__(None, None, None)

    def report(self, check: Check, what: str, note: str = '') -> None:
        """Add a row: what waited, or that nothing did."""
        total = sum(self.places.values())
        text = '; '.join(f'{count} x {place}'
                         for place, count in self.places.most_common(8))
        if not check.on_gpu:
            check.say(what, 'ran', note or 'a CPU waits for nothing')
        else:
            check.say(
                what,
                'WAITS' if total else 'ok',
                '; '.join(filter(None, (note, text))),
                waits=total)


@DATASETS.register_module()
class CheckPictures(Dataset):
    """Grey pictures, as the pipeline of a preset packs them.

    Args:
        sizes (list[int]): Pixels of each view.
        count (int): Number of pictures.
    """
    metainfo: Dict[str, Any] = {}

    def __init__(self, sizes: List[int], count: int) -> None:
        self.sizes, self.count = sizes, count

    def full_init(self) -> None:
        """Nothing has to be read."""

    def set_epoch(self, *args: Any) -> None:
        """Nothing is drawn."""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Dict[str, Any]:
        return dict(
            inputs=[
                torch.full((3, size, size), index % 255, dtype=torch.uint8)
                for size in self.sizes
            ],
            data_samples=BaseDataElement(
                metainfo=dict(img_path=f'{index}.jpg')))


class _Watched:
    """The counter of the present run; hooks are built by name."""
    waits: Optional[Waits] = None


@HOOKS.register_module()
class WatchFrom(Hook):
    """Begins to count before the other hooks of the iteration."""
    priority = 'HIGHEST'

    def before_train_iter(self, runner: Runner, *args: Any,
                          **kwargs: Any) -> None:
        if runner.iter == WATCHED:
            _Watched.waits = Waits().__enter__()


@HOOKS.register_module()
class WatchUntil(Hook):
    """Ends the count after them."""
    priority = 'LOWEST'

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        if runner.iter == WATCHED:
            _Watched.waits.__exit__()


def run_config(check: Check, method: str, precision: str,
               folder: str) -> Config:
    """A short run of a preset on pictures in memory."""
    cfg = preset(method, check.tiny)
    batch = 4 if check.tiny else 16
    cfg.work_dir, cfg.log_level, cfg.launcher = folder, 'ERROR', 'none'
    # The host keeps loggers and message hubs by this name.
    cfg.experiment_name = f'gpu_check_{method}_{precision}'
    cfg.visualizer.vis_backends = []
    cfg.optim_wrapper = dict(
        WRAPPERS[precision], optimizer=cfg.optim_wrapper.optimizer)
    cfg.train_dataloader.update(
        batch_size=batch, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset = dict(
        type='CheckPictures',
        sizes=view_sizes(method, check.tiny),
        count=ITERATIONS * batch)
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.update(dict.fromkeys(LEFT_OUT))
    cfg.custom_hooks = [dict(type='WatchFrom'), dict(type='WatchUntil')]
    return cfg


def watch(check: Check, method: str, precision: str) -> None:
    """Add the row of one run."""
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner.from_cfg(run_config(check, method, precision, folder))
        runner._init_model_weights = lambda: None  # it writes pages of log
        runner.train()
    _Watched.waits.report(check, f'{method} {precision}')


def waits(check: Check) -> None:
    """An iteration of each method. fp16 is left out: its loss scaler has to
    read from the GPU whether it overflowed."""
    kinds = [kind for kind in precisions(check) if kind != 'fp16']
    for method in PRESETS:
        for precision in kinds[:1] if check.tiny else kinds:
            with check.guard(f'{method} {precision}'):
                watch(check, method, precision)
