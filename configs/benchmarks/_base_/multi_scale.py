# What the benchmarks in detection train with, as in mmselfsup's and the
# papers' own: every norm over all GPUs, no stage frozen, several sizes.
# Not sync_bn: mmengine reads that name of a config.
synced_norm = dict(type='SyncBN', requires_grad=True)
trained_backbone = dict(
    frozen_stages=-1, norm_cfg=synced_norm, norm_eval=False)
# Regions go through the last stage and one norm more.
trained_c4 = dict(
    backbone=dict(**trained_backbone, style='pytorch', init_cfg=None),
    roi_head=dict(
        shared_head=dict(
            _delete_=True,
            type='LastStageExtraNorm',
            depth=50,
            norm_cfg=synced_norm)))
# The pictures as in the pre-training, where the hosts' C4 has caffe's.
rgb = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)
coco_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, short) for short in range(640, 801, 32)],
        keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')
]
