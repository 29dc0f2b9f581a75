_base_ = [
    'mmselfsup::benchmarks/mmdetection/coco/mask-rcnn_r50-c4_ms-1x_coco.py',  # noqa: E501
    '../../_base_/transfer.py'
]
# The first import also lends mmdet its operators where mmcv has none.
custom_imports = dict(
    imports=['caco_ext', 'mmselfsup.models.utils.res_layer_extra_norm'],
    allow_failed_imports=False)

# The hook loads backbone and shared head instead.
model = dict(backbone=dict(init_cfg=None))
default_hooks = dict(
    **_base_.transfer_hooks,
    results=dict(
        type='ResultsHook',
        task='detection_coco',
        protocol='Mask R-CNN R50-C4 1x, norm after res5, SyncBN, multi-scale'))
