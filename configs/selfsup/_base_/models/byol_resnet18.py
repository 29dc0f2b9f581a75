_base_ = './byol.py'

# Projector and predictor are as wide as those of CARE's small run. BYOL's own
# LARS is for batches of thousands, so this uses SGD. The learning rate is low,
# because the gradient is four times SimSiam's: twice the sum of both losses,
# while SimSiam takes their mean.
model = dict(
    backbone=_base_.resnet18,
    neck=dict(in_channels=512, hid_channels=512),
    head=dict(predictor=dict(hid_channels=512)))
