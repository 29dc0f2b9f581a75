_base_ = [
    'resnet50_mhead_8xb32-steplr-28e_places205.py',
    '../../_base_/resnet50w2.py'
]
model = dict(backbone=_base_.wide)
