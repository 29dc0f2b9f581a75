_base_ = [
    '../_base_/models/mocov2_resnet18.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/views/adco_cifar.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(backbone=_base_.stem3x3, queue_len=4096)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
