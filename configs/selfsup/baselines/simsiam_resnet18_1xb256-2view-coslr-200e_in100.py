_base_ = [
    '../_base_/models/simsiam_resnet18.py',
    '../_base_/datasets/imagenet100.py',
    '../_base_/views/adco.py',
    '../_base_/schedules/simsiam_200e.py',
]

train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
lr = 2.4
optim_wrapper = dict(optimizer=dict(lr=lr))
custom_hooks = [dict(_base_.hook, lr=lr)]
auto_scale_lr = dict(base_batch_size=256)
