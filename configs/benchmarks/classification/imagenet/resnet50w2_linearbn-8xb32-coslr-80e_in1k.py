_base_ = [
    'resnet50_linearbn-8xb32-coslr-80e_in1k.py', '../../_base_/resnet50w2.py'
]
model = dict(backbone=_base_.wide)
