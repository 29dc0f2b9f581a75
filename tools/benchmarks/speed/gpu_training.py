"""Training steps of the four methods' presets, without data and hooks."""
from typing import Any, Dict, List

import torch
from gpu_rows import Check
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODEL_WRAPPERS, MODELS, init_default_scope
from mmengine.structures import BaseDataElement
from torch import Tensor

import caco_ext  # noqa: F401
from caco_ext.utils.config_files import config_path

PRESETS = dict(
    AdCo='adco/adco_resnet50_8xb32-sym-coslr-200e_in1k.py',
    CaCo='caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py',
    CLSA='clsa/clsa_resnet50_8xb32-single-coslr-200e_in1k.py',
    CARE='care/care_resnet50_8xb128-2view-coslr-100e_in1k.py')
# Pixels of the presets' views, and of the narrow models' views.
SIZES = dict(
    AdCo=(224, 224), CaCo=(224, 224), CLSA=(224, 224, 96), CARE=(224, 224))
NARROW_SIZE = 32
WRAPPERS = dict(
    fp32=dict(type='OptimWrapper'),
    # bfloat16 has the range of float32, so nothing has to be scaled.
    bf16=dict(
        type='AmpOptimWrapper',
        dtype='bfloat16',
        loss_scale=dict(enabled=False)),
    fp16=dict(type='AmpOptimWrapper', dtype='float16', loss_scale='dynamic'))


def precisions(check: Check) -> List[str]:
    """Those that the device computes with."""
    if not check.on_gpu:
        return ['fp32', 'bf16']
    if not torch.cuda.is_bf16_supported():
        return ['fp32', 'fp16']
    return ['fp32', 'bf16', 'fp16']


def view_sizes(method: str, narrow: bool) -> List[int]:
    """Pixels of each view of a method."""
    sizes = SIZES[method]
    return [NARROW_SIZE] * len(sizes) if narrow else list(sizes)


def preset(method: str, narrow: bool) -> Config:
    """The config of a method's preset.

    Args:
        method (str): A key of ``PRESETS``.
        narrow (bool): Make the model small, for pictures of 32 pixels.

    Returns:
        Config: Its bank starts with random columns, as filling it is no step.
    """
    cfg = Config.fromfile(config_path(PRESETS[method]))
    model = cfg.model
    if model.get('memory', {}).get('type') == 'LearnableBank':
        model.memory.init = 'random'
    if not narrow:
        return cfg
    model.backbone.update(depth=18, base_channels=8, stem_channels=8)
    model.neck.update(in_channels=64, hid_channels=32)
    if 'memory' in model:
        model.memory.num_columns = 256
    if method == 'CARE':
        model.attention.update(
            in_channels=32,
            out_channels=64,
            img_size=NARROW_SIZE,
            num_blocks=2,
            num_heads=2,
            head_channels=8)
        model.attention_neck.update(in_channels=64, hid_channels=32)
        for name in ('predictor', 'attention_predictor'):
            model[name].update(hid_channels=32)
    return cfg


class Training:
    """One method's model, optimizer and a batch.

    Args:
        method (str): A key of ``PRESETS``.
        device (torch.device): Where it trains.
        precision (str): A key of ``WRAPPERS``.
        batch (int): Number of pictures.
        narrow (bool): See :func:`preset`.
        parallel (bool): Wrap the model for a process group, with the
            synchronised batch norms of the preset. Defaults to False.
        **options: Further arguments of the model.
    """

    def __init__(self,
                 method: str,
                 device: torch.device,
                 precision: str,
                 batch: int,
                 narrow: bool,
                 parallel: bool = False,
                 **options: Any) -> None:
        init_default_scope('mmselfsup')
        torch.manual_seed(0)
        cfg = preset(method, narrow)
        # The model's schedules read these during a run.
        epochs, length = cfg.train_cfg.max_epochs, 1000
        for name, value in dict(
                epoch=epochs // 2,
                iter=epochs // 2 * length,
                max_epochs=epochs,
                max_iters=epochs * length).items():
            MessageHub.get_current_instance().update_info(name, value)
        # Not init_weights(): it writes pages of log. torch's defaults serve.
        self.model = MODELS.build(dict(cfg.model, **options))
        if not parallel:
            self.model = revert_sync_batchnorm(self.model)
        self.model = self.model.to(device).train()
        self.model.key_encoder.copy_from(self.model)
        self.trained = self.model
        if parallel:
            self.trained = MODEL_WRAPPERS.build(
                dict(
                    type='MMDistributedDataParallel',
                    module=self.model,
                    broadcast_buffers=False))
        self.wrapper = build_optim_wrapper(
            self.trained,
            ConfigDict(
                WRAPPERS[precision], optimizer=cfg.optim_wrapper.optimizer))
        self.wrapper.initialize_count_status(self.trained, 0, 10**6)
        self.samples = [
            BaseDataElement(metainfo=dict(img_path=f'{i}.jpg'))
            for i in range(batch)
        ]
        self.views = [
            torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
            for size in view_sizes(method, narrow)
        ]
        if device.type == 'cuda':
            self.views = [view.pin_memory() for view in self.views]

    def step(self) -> Dict[str, Tensor]:
        """Make one step; gives the losses."""
        data = dict(inputs=list(self.views), data_samples=self.samples)
        losses = self.trained.train_step(data, self.wrapper)
        return {name: value.detach() for name, value in losses.items()}

    def state(self) -> Dict[str, Tensor]:
        """A copy of all that a step moves, one vector each."""
        parts = dict(
            backbone=self.model.backbone.parameters(),
            key_encoder=self.model.key_encoder.parameters())
        if self.model.memory is not None:
            parts['memory'] = iter([self.model.memory.columns])
        return {
            name: torch.cat([p.detach().flatten() for p in some])
            for name, some in parts.items()
        }
