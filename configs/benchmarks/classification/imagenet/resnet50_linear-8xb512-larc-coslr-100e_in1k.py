_base_ = 'resnet50_linear-8xb32-coslr-100e_in1k.py'
# The probe of CaCo: 0.025 per 256 pictures, here 0.4 at 4096.
train_dataloader = dict(batch_size=512)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type='LARC',
        lr=0.4,
        momentum=0.9,
        weight_decay=0.,
        trust_coefficient=0.001))
param_scheduler = dict(
    _delete_=True,
    type='CosineAnnealingLR',
    T_max=100,
    by_epoch=True,
    begin=0,
    end=100)
auto_scale_lr = dict(base_batch_size=4096)
default_hooks = dict(
    results=dict(
        protocol='CaCo: LARC lr 0.4 at 4096, cosine to 0, 100 epochs'))
