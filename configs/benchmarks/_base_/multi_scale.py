# Settings of the detection benchmarks, as in mmselfsup's and the papers' own:
# norms synchronised over all GPUs, no frozen stage, several picture sizes.
# The variable is not called sync_bn, as mmengine reads that name.
synced_norm = dict(type='SyncBN', requires_grad=True)
trained_backbone = dict(
    frozen_stages=-1, norm_cfg=synced_norm, norm_eval=False)
# Regions go through the last stage and one more norm.
trained_c4 = dict(
    backbone=dict(**trained_backbone, style='pytorch', init_cfg=None),
    roi_head=dict(
        shared_head=dict(
            _delete_=True,
            type='LastStageExtraNorm',
            depth=50,
            norm_cfg=synced_norm)))
# Normalisation as in the pre-training; the hosts' C4 configs use caffe's.
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
