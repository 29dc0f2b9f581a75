_base_ = './care.py'

width = 512

# All widths a quarter of ResNet-50's or an eighth. Small pictures become maps
# of 2 x 2 places or one in the last stages.
projector = dict(in_channels=512, hid_channels=width)
predictor = dict(hid_channels=width)
model = dict(
    backbone=dict(depth=18, conv_cfg=dict(type='SmallMapConv2d')),
    attention=dict(
        in_channels=256,
        out_channels=512,
        img_size=32,
        num_blocks=2,
        head_channels=32),
    neck=projector,
    attention_neck=projector,
    predictor=predictor,
    attention_predictor=predictor)
