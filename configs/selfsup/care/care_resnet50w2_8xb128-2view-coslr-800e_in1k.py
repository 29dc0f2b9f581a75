_base_ = './care_resnet50_8xb128-2view-coslr-800e_in1k.py'

model = dict(backbone=dict(base_channels=128, expansion=2))
