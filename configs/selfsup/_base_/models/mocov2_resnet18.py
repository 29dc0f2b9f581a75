_base_ = './mocov2.py'

# The baseline of the small runs. Queue and momentum fit 585 steps.
model = dict(
    queue_len=1024,
    momentum=0.99,
    backbone=_base_.resnet18,
    neck=dict(in_channels=512, hid_channels=512))
