_base_ = 'resnet50_mhead_8xb32-steplr-28e_places205.py'
model = dict(backbone=dict(depth=152))
