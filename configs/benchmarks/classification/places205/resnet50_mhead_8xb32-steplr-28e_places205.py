_base_ = '../_base_/places205_mhead.py'

optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True),
    paramwise_cfg=dict(norm_decay_mult=0.))
param_scheduler = dict(milestones=[7, 14, 21])
train_cfg = dict(max_epochs=28)
default_hooks = dict(
    checkpoint=dict(save_best='top1', rule='greater'),
    **_base_.transfer_hooks,
    results=dict(
        type='ResultsHook',
        task='linear_places205',
        protocol='host: linear layers on five maps, SGD lr 0.01, 28 epochs'))
