epochs = 100
warmup_epochs = 10
# 0.05 for each 256 pictures of the global batch of 1024.
lr = 0.2

optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4))
# The schedules count iterations, computed from these epochs.
warmup = dict(
    type='InclusiveLinearLR',
    start_factor=1e-6 / lr,
    end=warmup_epochs,
    convert_to_iter_based=True)
cosine = dict(
    type='CosineAnnealingLR',
    T_max=epochs - warmup_epochs,
    eta_min=0,
    begin=warmup_epochs,
    end=epochs,
    convert_to_iter_based=True)
param_scheduler = [warmup, cosine]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=1024, enable=False)
