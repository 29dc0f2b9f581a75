_base_ = './caco_resnet50_8xb128-sym-warmcos-200e_in1k.py'

# The same rule, 0.3 for each 256 pictures, at a global batch of 4096.
optim_wrapper = dict(optimizer=dict(lr=4.8))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10),
    dict(
        type='CosineAnnealingLR', T_max=190, eta_min=0.048, begin=10, end=200)
]
auto_scale_lr = dict(base_batch_size=4096)
