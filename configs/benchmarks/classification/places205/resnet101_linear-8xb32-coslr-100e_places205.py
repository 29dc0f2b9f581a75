_base_ = 'resnet50_linear-8xb32-coslr-100e_places205.py'
model = dict(backbone=dict(depth=101))
