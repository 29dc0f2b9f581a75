epochs = 15
# Twice MoCo v2's learning rate, with a quarter of its batch and a hundredth of
# its steps. MoCo v2 works well with it in the small runs. The originals of
# AdCo and CLSA were measured with it, too.
lr = 0.06

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4))
cosine = dict(type='CosineAnnealingLR', T_max=epochs, eta_min=0, end=epochs)
param_scheduler = [cosine]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=64, enable=False)
