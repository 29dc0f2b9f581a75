_base_ = [
    'resnet50_linear-8xb512-larc-coslr-100e_in1k.py',
    '../../_base_/resnet50w2.py'
]
model = dict(backbone=_base_.wide)
