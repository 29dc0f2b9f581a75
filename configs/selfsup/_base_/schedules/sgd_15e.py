# For the small runs, of the size at which MoCo v2 does well in them: twice the
# learning rate of its own config, for a quarter of that batch and a hundredth
# of its steps. The originals of AdCo and CLSA were measured at it too.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.06, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=15, eta_min=0, end=15)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=15)
auto_scale_lr = dict(base_batch_size=64, enable=False)
