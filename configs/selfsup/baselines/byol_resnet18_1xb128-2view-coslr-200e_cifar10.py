_base_ = [
    '../_base_/models/byol_resnet18.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/views/adco_cifar.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(backbone=_base_.stem3x3)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
