# CaCo's optimizer, by a small search; see "Measured here" in care/README.md.
lr = 1.2
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='CaCoLARS', lr=lr, momentum=0.9, weight_decay=1.5e-6))
param_scheduler = [
    dict(
        type='InclusiveLinearLR',
        start_factor=1e-6 / lr,
        end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=14,
        eta_min=0,
        begin=1,
        end=15,
        convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=15)
auto_scale_lr = dict(base_batch_size=64, enable=False)
