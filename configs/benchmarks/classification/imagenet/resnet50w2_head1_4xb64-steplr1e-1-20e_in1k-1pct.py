_base_ = [
    'resnet50_head1_4xb64-steplr1e-1-20e_in1k-1pct.py',
    '../../_base_/resnet50w2.py'
]
model = dict(backbone=_base_.wide)
