_base_ = './simsiam.py'

# All widths are a quarter, like the backbone's.
neck = dict(in_channels=512, hid_channels=512, out_channels=512)
predictor = dict(in_channels=512, hid_channels=128, out_channels=512)
model = dict(
    backbone=_base_.resnet18, neck=neck, head=dict(predictor=predictor))
