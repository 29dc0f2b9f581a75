_base_ = './care_100e.py'

epochs = 15
warmup_epochs = 1
# CaCo's optimizer, found by a small search; see "Measured here" in
# configs/selfsup/care/README.md.
lr = 1.2

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='CaCoLARS', lr=lr, momentum=0.9, weight_decay=1.5e-6))
warmup = dict(_base_.warmup, start_factor=1e-6 / lr, end=warmup_epochs)
cosine = dict(
    _base_.cosine,
    T_max=epochs - warmup_epochs,
    begin=warmup_epochs,
    end=epochs)
param_scheduler = [warmup, cosine]
train_cfg = dict(max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=64)
