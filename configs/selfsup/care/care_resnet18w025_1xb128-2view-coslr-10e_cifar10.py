_base_ = './care_resnet18_1xb128-2view-coslr-200e_cifar10.py'

# A fifth of the pictures and a quarter of the widths, for a CPU.
# So short a run needs a faster key encoder than the original's 0.99 to 1.
model = dict(
    momentum=0.9,
    backbone=dict(base_channels=16, stem_channels=16),
    neck=dict(in_channels=128),
    attention=dict(in_channels=64, out_channels=128, head_channels=16),
    attention_neck=dict(in_channels=128))
fraction = dict(fraction=0.2)
train_dataloader = dict(num_workers=1, dataset=fraction)
default_hooks = dict(knn=dict(train_dataset=fraction))
warmup = dict(_base_.warmup, end=1)
param_scheduler = [
    warmup,
    dict(_base_.cosine, T_max=9, begin=1, end=10),
]
train_cfg = dict(max_epochs=10)
