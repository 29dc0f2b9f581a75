_base_ = './caco_200e.py'

# The learning rate at which the original's own loop was measured.
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0, end=1),
    dict(
        type='CosineAnnealingLR',
        T_max=14,
        eta_min_ratio=0.01,
        begin=1,
        end=15)
]
train_cfg = dict(max_epochs=15)
auto_scale_lr = dict(base_batch_size=64)
