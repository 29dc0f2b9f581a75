_base_ = [
    '../_base_/models/care_resnet18.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/views/care_cifar.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(
    backbone=dict(_base_.stem3x3, out_indices=[2, 3]),
    attention=dict(stride=4, img_size=32))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
