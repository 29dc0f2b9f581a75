_base_ = './simclr.py'

# SimCLR's own LARS is for batches of thousands, so this uses SGD. The loss is
# a cross-entropy over cosines like MoCo's, so it has MoCo's learning rate.
model = dict(
    backbone=_base_.resnet18, neck=dict(in_channels=512, hid_channels=512))
