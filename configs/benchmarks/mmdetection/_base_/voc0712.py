# The papers' AP, AP50 and AP75 are means of VOC's 11-point AP over these
# overlaps (detectron2's evaluator); AP50 is the usual mAP.
voc_evaluators = [
    dict(
        type='mmdet.VOCMetric',
        metric='mAP',
        eval_mode='11points',
        iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
    dict(type='mmdet.CocoMetric', metric='bbox', format_only=False)
]
# COCO's own definition needs the ground truth along with the predictions.
voc_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor', 'instances'))
]
voc_results = dict(
    type='ResultsHook',
    task='detection_voc0712',
    protocol='Faster R-CNN R50-C4 24k iterations, norm after res5, SyncBN, '
    'multi-scale; test VOC07')
