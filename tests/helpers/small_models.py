# Copyright (c) caco_ext authors. All rights reserved.
"""Small models of the four methods."""
import copy

import torch
from mmengine.registry import MODELS, init_default_scope
from torch.nn import functional as F

import caco_ext  # noqa: F401

BACKBONE = dict(
    type='mmselfsup.ResNet',
    depth=18,
    base_channels=8,
    stem_channels=8,
    out_indices=[4],
    norm_cfg=dict(type='SyncBN'))
NECK = dict(
    type='mmselfsup.NonLinearNeck',
    in_channels=64,
    hid_channels=32,
    out_channels=16,
    num_layers=2,
    with_last_bn=False,
    norm_cfg=dict(type='SyncBN'))
BANK = dict(
    type='LearnableBank',
    num_columns=40,
    dim=16,
    temperature=0.1,
    lr=1.0,
    init='random')
PREDICTOR = dict(NECK, in_channels=16, with_avg_pool=False)
CONFIGS = dict(
    AdCo=dict(head=dict(type='AdCoHead'), memory=BANK),
    CaCo=dict(head=dict(type='CaCoHead'), memory=BANK),
    CLSA=dict(
        head=dict(type='CLSAHead'),
        memory=dict(type='FeatureQueue', num_columns=40, dim=16)),
    CARE=dict(
        backbone=dict(BACKBONE, out_indices=[3, 4]),
        head=dict(type='CAREHead'),
        attention=dict(
            type='AttentionStack',
            in_channels=32,
            out_channels=64,
            img_size=32,
            num_blocks=2,
            num_heads=2,
            head_channels=8),
        attention_neck=NECK,
        predictor=PREDICTOR,
        attention_predictor=PREDICTOR,
        momentum=0.9))


def build(method, seed=0, **options):
    """A model of ``method`` with plain batch norms where one process runs."""
    from mmengine.dist import get_world_size
    from mmengine.model import revert_sync_batchnorm
    init_default_scope('mmselfsup')
    cfg = dict(backbone=BACKBONE, neck=NECK)
    cfg.update(CONFIGS[method])
    cfg.update(options)
    torch.manual_seed(seed)
    model = MODELS.build(copy.deepcopy(dict(type=method, **cfg)))
    # Not init_weights(): it writes pages of log. torch's defaults serve.
    model.key_encoder.copy_from(model)
    if get_world_size() == 1:
        model = revert_sync_batchnorm(model)
    return model.train()


def pictures(count, seed=0, size=8, side=32):
    """``count`` views of ``size`` pictures."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(size, 3, side, side, generator=generator)
        for _ in range(count)
    ]


def total(losses):
    """What mmengine would minimise."""
    return sum(value for name, value in losses.items() if 'loss' in name)


# Of the features that sharded and whole memories are fed with.
BATCH, DIM = 8, 16


def features(count, seed):
    """Some batches of unit vectors, (BATCH, DIM) each."""
    generator = torch.Generator().manual_seed(seed)
    return [
        F.normalize(torch.randn(BATCH, DIM, generator=generator), dim=1)
        for _ in range(count)
    ]
