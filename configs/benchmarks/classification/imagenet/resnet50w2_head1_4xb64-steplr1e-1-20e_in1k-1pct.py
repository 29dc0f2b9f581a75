_base_ = 'resnet50_head1_4xb64-steplr1e-1-20e_in1k-1pct.py'
# CARE's ResNet-50 (2x): inner widths doubled.
model = dict(backbone=dict(base_channels=128, expansion=2))
