_base_ = './caco.py'

width = 512
feature_dim = 128
num_columns = 1024

# Small pictures become maps of 2 x 2 places or one in the last stages.
model = dict(
    backbone=dict(depth=18, conv_cfg=dict(type='SmallMapConv2d')),
    neck=dict(in_channels=512, hid_channels=width, out_channels=feature_dim),
    memory=dict(num_columns=num_columns, dim=feature_dim))
