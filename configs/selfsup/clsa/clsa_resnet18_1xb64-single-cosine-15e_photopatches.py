_base_ = [
    '../_base_/models/clsa_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/clsa.py', '../_base_/schedules/sgd_15e.py'
]

# The settings at which the original's own loop was measured.
model = dict(backbone=_base_.small_backbone)
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms[0][0].update(size=48)
train_pipeline[1].transforms[1][0].update(size=32)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
