# 0.3 for each 256 pictures of the global batch of 1024.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='CaCoLARS', lr=1.2, momentum=0.9, weight_decay=1.5e-6))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10),
    dict(
        type='CosineAnnealingLR',
        T_max=190,
        eta_min_ratio=0.01,
        begin=10,
        end=200)
]
# For the configs of that length.
schedule_800e = [
    dict(type='LinearLR', start_factor=0.1, end=10),
    dict(
        type='CosineAnnealingLR',
        T_max=790,
        eta_min_ratio=0.01,
        begin=10,
        end=800)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200)
auto_scale_lr = dict(base_batch_size=1024, enable=False)
