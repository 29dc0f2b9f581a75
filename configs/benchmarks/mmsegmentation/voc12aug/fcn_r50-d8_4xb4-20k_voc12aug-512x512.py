_base_ = [
    'mmseg::fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py',
    '../../_base_/transfer.py'
]

# The host's config has ResNetV1c, whose stem of three convolutions no
# checkpoint of these methods has: it would stay random. The hook loads the
# backbone instead of `pretrained`.
model = dict(pretrained=None, backbone=dict(type='ResNet'))
default_hooks = dict(
    **_base_.transfer_hooks,
    results=dict(
        type='ResultsHook',
        task='segmentation_voc12aug',
        protocol='FCN-D8 20k iterations, crops of 512, mean IoU'))
