_base_ = [
    '../_base_/models/caco_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/caco_48px.py', '../_base_/schedules/caco_15e.py'
]

# The settings with which the original's own loop was measured.
model = dict(memory=dict(lr=dict(warmup=_base_.warmup_epochs)))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
default_hooks = dict(knn=dict(interval=8))
