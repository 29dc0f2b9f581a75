_base_ = './caco_resnet18_1xb128-sym-coslr-200e_cifar10.py'

# A fifth of the pictures and a quarter of the widths, for a CPU.
# In so short a run the key encoder does not slow down, unlike the original's.
model = dict(
    momentum=0.99,
    backbone=dict(base_channels=16, stem_channels=16),
    neck=dict(in_channels=128),
    memory=dict(num_columns=1024))
fraction = dict(fraction=0.2)
train_dataloader = dict(num_workers=1, dataset=fraction)
default_hooks = dict(knn=dict(train_dataset=fraction))
warmup = dict(_base_.warmup, end=1)
param_scheduler = [
    warmup,
    dict(_base_.cosine, T_max=9, begin=1, end=10),
]
train_cfg = dict(max_epochs=10)
