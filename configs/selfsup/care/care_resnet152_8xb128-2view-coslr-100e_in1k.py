_base_ = './care_resnet50_8xb128-2view-coslr-100e_in1k.py'

model = dict(backbone=dict(depth=152))
