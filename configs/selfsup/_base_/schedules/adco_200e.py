epochs = 200
lr = 0.03

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4))
cosine = dict(
    type='CosineAnnealingLR', T_max=epochs, eta_min=0.0006, end=epochs)
param_scheduler = [cosine]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=256, enable=False)
