_base_ = 'mmselfsup::benchmarks/mmdetection/coco/mask-rcnn_r50-c4_ms-2x_coco.py'  # noqa: E501
# The first import also lends mmdet its operators where mmcv has none.
custom_imports = dict(
    imports=['caco_ext', 'mmselfsup.models.utils.res_layer_extra_norm'],
    allow_failed_imports=False)

# The hook loads backbone and shared head instead.
model = dict(backbone=dict(init_cfg=None))
default_hooks = dict(
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'),
    results=dict(
        type='ResultsHook',
        task='detection_coco',
        protocol='Mask R-CNN R50-C4 2x, norm after res5, SyncBN, multi-scale'))
