_base_ = 'fcn_r50-d8_4xb4-20k_voc12aug-512x512.py'
model = dict(backbone=dict(depth=152))
