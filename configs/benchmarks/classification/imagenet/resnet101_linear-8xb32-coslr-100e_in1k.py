_base_ = 'resnet50_linear-8xb32-coslr-100e_in1k.py'
model = dict(backbone=dict(depth=101))
