_base_ = [
    'resnet50_linear-8xb32-coslr-100e_places205.py',
    '../../_base_/resnet50w2.py'
]
model = dict(backbone=_base_.wide)
