_base_ = [
    'mmselfsup::benchmarks/mmdetection/coco/mask-rcnn_r50_fpn_ms-1x_coco.py',  # noqa: E501
    '../../_base_/transfer.py'
]
# It also lends mmdet its operators where mmcv has none.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

# The hook loads the backbone instead.
model = dict(backbone=dict(init_cfg=None))
default_hooks = dict(
    **_base_.transfer_hooks,
    results=dict(
        type='ResultsHook',
        task='detection_coco',
        protocol='Mask R-CNN R50-FPN 1x, SyncBN, multi-scale'))
