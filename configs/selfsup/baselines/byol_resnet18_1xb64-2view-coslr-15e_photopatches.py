_base_ = [
    '../_base_/models/byol.py',
    '../_base_/datasets/photopatches_weak.py',
    '../_base_/schedules/sgd_15e.py',
]

# Projector and predictor are as wide as those of CARE's small run. Its own
# LARS is meant for batches of thousands; with SGD the learning rate stays low,
# because its gradient is four times SimSiam's: the sum of both losses, twice,
# where SimSiam takes their mean.
model = dict(
    backbone=_base_.resnet18,
    neck=dict(in_channels=512, hid_channels=512),
    head=dict(predictor=dict(hid_channels=512)))
