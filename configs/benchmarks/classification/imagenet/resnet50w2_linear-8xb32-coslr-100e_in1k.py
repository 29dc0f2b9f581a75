_base_ = 'resnet50_linear-8xb32-coslr-100e_in1k.py'
# CARE's ResNet-50 (2x): inner widths doubled.
model = dict(backbone=dict(base_channels=128, expansion=2))
