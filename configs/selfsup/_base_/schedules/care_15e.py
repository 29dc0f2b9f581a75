_base_ = './care_100e.py'

# CaCo's optimizer, by a small search; see "Measured here" in care/README.md.
lr = 1.2
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='CaCoLARS', lr=lr, momentum=0.9, weight_decay=1.5e-6))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=1e-6 / lr, end=1)
param_scheduler[1].update(T_max=14, begin=1, end=15)
train_cfg = dict(max_epochs=15)
auto_scale_lr = dict(base_batch_size=64)
