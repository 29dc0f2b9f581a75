_base_ = [
    '../_base_/models/caco.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/caco.py', '../_base_/schedules/caco_15e.py'
]

# The quick start: a small network on small crops, for two CPU cores.
model = dict(
    fuse_views=True,
    backbone=_base_.small_backbone,
    neck=dict(in_channels=512, hid_channels=512, out_channels=128),
    memory=dict(num_columns=1024, dim=128, lr=dict(warmup=1)))
# Things come out about as large as in the 64-pixel pictures whose neighbours
# are sought.
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms[0][0].update(size=32, scale=(0.1, 0.6))
train_pipeline[1].transforms[1][0].update(size=32, scale=(0.1, 0.6))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# Neighbours take as long as 25 steps.
default_hooks = dict(knn=dict(interval=8))
