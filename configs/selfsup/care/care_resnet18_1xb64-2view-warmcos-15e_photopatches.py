_base_ = [
    '../_base_/models/care_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/care.py', '../_base_/schedules/care_15e.py'
]

model = dict(fuse_views=True, backbone=_base_.small_backbone)
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms[0][0].update(size=32, scale=(0.2, 1.0))
train_pipeline[1].transforms[1][0].update(size=32, scale=(0.2, 1.0))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
