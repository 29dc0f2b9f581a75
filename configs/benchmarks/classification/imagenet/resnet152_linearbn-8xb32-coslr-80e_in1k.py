_base_ = 'resnet50_linearbn-8xb32-coslr-80e_in1k.py'
model = dict(backbone=dict(depth=152))
