_base_ = './simsiam_resnet18_1xb128-2view-coslr-200e_cifar10.py'

param_scheduler = [
    _base_.warmup,
    dict(_base_.cosine, T_max=790, end=800),
]
train_cfg = dict(max_epochs=800)
