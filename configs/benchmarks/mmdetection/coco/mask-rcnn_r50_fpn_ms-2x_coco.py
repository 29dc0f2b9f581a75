_base_ = 'mmselfsup::benchmarks/mmdetection/coco/mask-rcnn_r50_fpn_ms-2x_coco.py'  # noqa: E501
# It also lends mmdet its operators where mmcv has none.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

# The hook loads the backbone instead.
model = dict(backbone=dict(init_cfg=None))
default_hooks = dict(
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'),
    results=dict(
        type='ResultsHook',
        task='detection_coco',
        protocol='Mask R-CNN R50-FPN 2x, SyncBN, multi-scale'))
