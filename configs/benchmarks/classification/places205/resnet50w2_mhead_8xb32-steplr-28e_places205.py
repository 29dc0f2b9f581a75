_base_ = 'resnet50_mhead_8xb32-steplr-28e_places205.py'
# CARE's ResNet-50 (2x): inner widths doubled.
model = dict(backbone=dict(base_channels=128, expansion=2))
