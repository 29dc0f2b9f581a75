_base_ = './adco.py'

width = 512
num_columns = 1024

# The sizes at which the original's own loop was measured. Small pictures
# become maps of 2 x 2 places or one in the last stages.
model = dict(
    backbone=dict(depth=18, conv_cfg=dict(type='SmallMapConv2d')),
    neck=dict(in_channels=512, hid_channels=width),
    memory=dict(num_columns=num_columns),
    momentum=0.99)
