_base_ = [
    '../_base_/models/simclr.py',
    '../_base_/datasets/photopatches_weak.py',
    '../_base_/schedules/sgd_15e.py',
]

# Its own LARS is meant for batches of thousands. The loss is a cross-entropy
# over cosines like MoCo's, so SGD takes MoCo's learning rate.
model = dict(
    backbone=_base_.resnet18, neck=dict(in_channels=512, hid_channels=512))
