_base_ = [
    '../_base_/models/clsa_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/clsa.py', '../_base_/schedules/caco_15e.py'
]

# CaCo's optimizer: the best of the search.
model = dict(backbone=_base_.small_backbone)
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms[0][0].update(size=48)
train_pipeline[1].transforms[1][0].update(size=32)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
