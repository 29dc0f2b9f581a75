optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=200, eta_min=0.0006, end=200)
]
# For the configs of that length.
schedule_800e = [
    dict(type='CosineAnnealingLR', T_max=800, eta_min=0.0006, end=800)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200)
auto_scale_lr = dict(base_batch_size=256, enable=False)
