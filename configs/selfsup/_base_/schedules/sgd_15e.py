epochs = 15
# Twice MoCo v2's learning rate, for a quarter of that batch and a hundredth of
# its steps: MoCo v2 does well at it in the small runs, and the originals of
# AdCo and CLSA were measured at it too.
lr = 0.06

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4))
cosine = dict(type='CosineAnnealingLR', T_max=epochs, eta_min=0, end=epochs)
param_scheduler = [cosine]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=64, enable=False)
