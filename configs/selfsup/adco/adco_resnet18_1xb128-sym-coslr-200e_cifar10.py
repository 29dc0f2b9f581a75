_base_ = [
    '../_base_/models/adco_resnet18.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/views/adco_cifar.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(
    backbone=_base_.stem3x3,
    query_views=(0, 1),
    key_views=(0, 1),
    memory=dict(num_columns=4096, lr=0.2))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
