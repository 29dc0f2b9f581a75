_base_ = 'faster-rcnn_r50-c4_ms-24k_voc0712.py'
# CARE's ResNet-50 (2x): inner widths doubled, which mmdet's ResNet and shared
# head do not know.
model = dict(
    backbone=dict(type='mmcls.ResNet', base_channels=128, expansion=2),
    roi_head=dict(
        shared_head=dict(
            _delete_=True,
            type='LastStageExtraNorm',
            depth=50,
            base_channels=128,
            expansion=2)))
