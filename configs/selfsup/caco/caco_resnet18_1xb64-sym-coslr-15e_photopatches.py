_base_ = [
    '../_base_/models/caco_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/caco_32px.py', '../_base_/schedules/caco_15e.py'
]

# The quick start: a small network on small crops, for two CPU cores.
model = dict(
    fuse_views=True, memory=dict(lr=dict(warmup=_base_.warmup_epochs)))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
# A kNN evaluation takes as long as 25 steps.
default_hooks = dict(knn=dict(interval=8))
