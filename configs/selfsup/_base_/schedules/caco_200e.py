epochs = 200
# Warm-up of the learning rates of the encoder and of the bank.
warmup_epochs = 10
# 0.3 for each 256 pictures of the global batch of 1024.
lr = 1.2

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='CaCoLARS', lr=lr, momentum=0.9, weight_decay=1.5e-6))
warmup = dict(type='LinearLR', start_factor=0.1, end=warmup_epochs)
cosine = dict(
    type='CosineAnnealingLR',
    T_max=epochs - warmup_epochs,
    eta_min_ratio=0.01,
    begin=warmup_epochs,
    end=epochs)
param_scheduler = [warmup, cosine]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=1024, enable=False)
