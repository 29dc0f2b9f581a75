_base_ = './care.py'

# All widths a quarter of ResNet-50's or an eighth, for crops of 32 pixels.
projector = dict(in_channels=512, hid_channels=512)
predictor = dict(hid_channels=512)
model = dict(
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
