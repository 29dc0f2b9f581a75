_base_ = '../_base_/resnet50_in1k.py'
# The probe of AdCo and CLSA: the learning rate is not scaled by the batch.
model = dict(backbone=dict(frozen_stages=4))
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=10., momentum=0.9, weight_decay=0.))
param_scheduler = dict(
    _delete_=True,
    type='CosineAnnealingLR',
    T_max=100,
    eta_min=0.01,
    by_epoch=True,
    begin=0,
    end=100)
train_cfg = dict(max_epochs=100)
default_hooks = dict(
    results=dict(
        type='ResultsHook',
        task='linear_imagenet',
        protocol='AdCo and CLSA: SGD lr 10, cosine to 0.01, 100 epochs'))
