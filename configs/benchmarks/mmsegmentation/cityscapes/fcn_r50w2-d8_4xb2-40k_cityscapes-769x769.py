_base_ = [
    'fcn_r50-d8_4xb2-40k_cityscapes-769x769.py', '../../_base_/resnet50w2.py'
]
model = _base_.wide_d8
